"""The loop: training, validation, checkpoints. Data is anything that yields batches, a model any nn.Module."""
