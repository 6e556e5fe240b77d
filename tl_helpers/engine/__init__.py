"""The loop: training, validation, checkpoints. It knows data as anything that yields batches, models as any nn.Module."""
