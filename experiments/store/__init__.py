"""What is recorded, as files: written atomically, read with suspicion, never lost. Imports no torch, no algorithm."""
