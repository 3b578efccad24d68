"""How stacks are trained, whatever they are: as the command line, executors and workers pass it on."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

Engine = Literal["numba", "torch"]
"""As ``ppo.stacked.engine`` has it, which needs torch."""


@dataclass(frozen=True)
class Options:
    """Execution options. Only ``fraction`` affects the results."""

    device: str = "cpu"
    processes: int = 1
    """for emulators"""
    engine: Engine | None = None
    """what computes: the fastest one there is, or the one that the stack was begun with"""
    fraction: float = 1.0
    """of the budget, whose schedules stay those of the whole"""
    checkpoint_interval: float = 60.0
    """in seconds"""
    tensorboard: bool = False

    def to_text(self) -> str:
        """Return one word of a command line."""
        return json.dumps(asdict(self))


def options_from_text(text: str) -> Options:
    """Invert ``Options.to_text``."""
    return Options(**json.loads(text))
