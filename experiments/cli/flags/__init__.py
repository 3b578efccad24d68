"""Flags of the ppo command: their types, the groups that several sub-commands share, and those of an algorithm."""
