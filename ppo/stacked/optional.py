"""Compilation where numba can be had: there are no wheels of it for some platforms and the newest Python."""

from collections.abc import Callable
from typing import Any

try:
    from ppo.stacked.compiling import exactly
except ImportError:

    def exactly(function: Callable[..., Any]) -> Any:
        """Return None: whoever asks uses the plain twin."""
        return None


__all__ = ["exactly"]
