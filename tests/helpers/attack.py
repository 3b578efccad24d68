"""What a stranger may put into a file."""

from pathlib import Path


class Attack:
    """Touches the file ``trace`` where it is unpickled: code of a stranger's that runs."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path(self.trace),)
