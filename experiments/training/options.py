"""Execution options, passed from the command line through executors to workers."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

Engine = Literal["numba", "torch"]
"""The same as in ``ppo.stacked.engine``, which imports torch."""


@dataclass(frozen=True)
class Options:
    """Execution options. ``fraction`` is how much is trained; ``engine`` and ``device`` change results by rounding; no
    other changes those of a training that nothing stops."""

    device: str = "cpu"
    processes: int = 1
    """for emulators"""
    engine: Engine | None = None
    """None: the fastest available, or the one that the stack began with"""
    fraction: float = 1.0
    """of the budget; schedules follow the whole budget"""
    checkpoint_interval: float = 60.0
    """in seconds"""
    tensorboard: bool = False
    modules: tuple[str, ...] = ()
    """to import: those that were typed on the command line, and no others of the user's"""
    directory: str = ""
    """where the command was typed, and the modules are looked for last"""
    exact: bool = False
    """refuse to go on where that cannot be to the same bits"""
    begin_anew: bool = False
    """where there is nothing whole to continue from"""
    command: str = ""
    """what was typed, for the records"""

    def to_text(self) -> str:
        """Return the options as one word of a command line."""
        return json.dumps(asdict(self))


def options_from_text(text: str) -> Options:
    """Invert ``Options.to_text``."""
    own = json.loads(text)
    return Options(**{**own, "modules": tuple(own["modules"])})
