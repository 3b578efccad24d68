"""Compilation if numba is installed: it has no wheels for some platforms."""

from collections.abc import Callable
from typing import Any

try:
    from ppo.stacked.compiling import exactly
except ImportError:

    def exactly(function: Callable[..., Any]) -> Any:
        """Return None: the caller then uses the plain twin."""
        return None


__all__ = ["exactly"]
