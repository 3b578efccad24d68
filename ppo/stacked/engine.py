"""Which engine computes: the one place where that is chosen.

``torch``: PyTorch's operations over all runs of a stack at once, the losses by autograd; on every device, for every
network. ``numba``: the same compiled for one run at a time, for networks for vectors on a CPU. An algorithm's file is
written for the first; where the second has a twin of it, ``engine == "numba"`` takes that.
"""

import importlib.util
from typing import Literal

import torch

from ppo.stacked.convolutional import ARCHITECTURES

Engine = Literal["numba", "torch"]
ENGINES: tuple[Engine, ...] = ("numba", "torch")


def available() -> bool:
    """Whether numba can be had here: it has no wheels for some platforms and for the newest Python."""
    return importlib.util.find_spec("numba") is not None


def choose(network: str, device: torch.device, wanted: Engine | None = None) -> Engine:
    """The engine that is ``wanted``, or the fastest one there is. Raises ``ValueError`` where numba is wanted and
    cannot be had."""
    reasons = {
        f"for networks for vectors, and network = {network}": network in ARCHITECTURES,
        f"for the CPU, and device = {device}": device.type != "cpu",
        "not installed": not available(),
    }
    against = [reason for reason, holds in reasons.items() if holds]
    if wanted == "numba" and against:
        raise ValueError(f"engine = numba cannot be used: it is {against[0]}; --engine torch can")
    return "torch" if wanted == "torch" or against else "numba"
