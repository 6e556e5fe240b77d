"""Complete ways of transferring, each a short function built on models and the engine."""
