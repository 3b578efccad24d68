"""The choice of the engine that computes.

``torch``: PyTorch's operations over all runs of a stack at once, gradients by autograd; for every device and network.
``numba``: the same compiled for one run at a time, for networks for vectors on a CPU. An algorithm's file is written
for the first; where a method has a compiled twin, ``engine == "numba"`` calls it.
"""

import importlib.util
from typing import Literal

import torch

from ppo.stacked.convolutional import ARCHITECTURES

Engine = Literal["numba", "torch"]


def available() -> bool:
    """Return whether numba is installed: it has no wheels for some platforms."""
    return importlib.util.find_spec("numba") is not None


def choose(network: str, device: torch.device, requested: Engine | None = None) -> Engine:
    """Return the ``requested`` engine, by default the fastest available. Raises ``ValueError`` if numba is requested
    but cannot be used."""
    reasons = {
        f"for networks for vectors, and network = {network}": network in ARCHITECTURES,
        f"for the CPU, and device = {device}": device.type != "cpu",
        "not installed": not available(),
    }
    against = [reason for reason, holds in reasons.items() if holds]
    if requested == "numba" and against:
        raise ValueError(f"engine = numba cannot be used: it is {against[0]}; --engine torch can")
    return "torch" if requested == "torch" or against else "numba"
