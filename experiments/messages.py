"""Text for people."""

import difflib
from collections.abc import Iterable


def unknown_name_message(kind: str, name: str, valid: Iterable[str], own: str = "") -> str:
    """Return an error line for a name that is not in ``valid``, with those that it abbreviates, else the nearest, or
    all if none is near. ``own``: how one of the user's own is written, if there can be any."""
    valid = list(valid)
    abbreviated = [one for one in valid if name.strip("-") and one.startswith(name)][:3]
    near = abbreviated or difflib.get_close_matches(name, valid, n=3, cutoff=0.5)
    known = f"did you mean {', '.join(near)}?" if near else f"valid: {', '.join(valid)}"
    return f"unknown {kind} {name!r}; {known}" + (f" (one of your own: {own})" if own else "")


def duration(seconds: float) -> str:
    """Write a time as 1:02:03, or 2:03 under an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
