"""Runs grouped into stacks, and their time."""
