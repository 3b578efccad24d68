"""Training stacks: each in a separate process, many side by side, on one machine or on a cluster."""
