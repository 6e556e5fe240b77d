"""Whole ways of transferring, each a short function over models and the engine."""
