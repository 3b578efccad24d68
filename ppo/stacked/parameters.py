"""The parameters of a stack: one matrix ``[runs, P]``, in columns that the networks are views of."""

from dataclasses import dataclass

from torch import Tensor

ALIGNMENT = 16
"""The width of a row is padded to a multiple of this. Kernels treat the last few columns differently where a row ends
within a vector register, and a run's bits would depend on its position in the stack."""


def aligned(width: int) -> int:
    """Return the next multiple of ``ALIGNMENT``."""
    return -(-width // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Group:
    """Part of the parameters of every run, such as a policy's actor, for an optimiser."""

    matrix: Tensor
    """``[runs, P]``, all parameters: a leaf"""
    columns: slice

    @property
    def values(self) -> Tensor:
        """The part, ``[runs, n]``: a view, without gradient."""
        return self.matrix.detach()[:, self.columns]
