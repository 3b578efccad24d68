"""Playing and filming saved policies."""
