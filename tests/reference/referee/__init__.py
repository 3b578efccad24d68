"""A second version of every algorithm, written from the papers with torch.nn, torch.optim, torch.distributions, numpy
and plain Gymnasium environments, one run at a time and in float64.

It shares with the project the settings, the initial weights and the addresses of the random numbers, nothing else:
what the old policy was, which values and returns follow from it, it finds out for itself.
"""
