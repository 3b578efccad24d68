"""What a training leaves of itself: log, progress, checkpoint, TensorBoard's scalars, the manifest's entries."""
