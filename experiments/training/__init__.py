"""One stack trained in a process of its own, and many side by side, here or on a cluster."""
