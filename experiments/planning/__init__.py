"""From runs to stacks, and what they cost in time."""
