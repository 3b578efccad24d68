"""Results on disk: written atomically, validated when read, never lost. Imports no torch and no algorithm."""
