"""Text from files as people can be shown it: a name that a stranger chose must not command the terminal."""

LONGEST = 10_000
"""Characters of a text that are shown."""


def printable(text: str) -> str:
    """Return ``text`` in one line, with escapes such as \\x1b in the place of what is not to be seen: control
    characters, line ends, marks that turn the direction of writing, bytes that are no text."""
    shown = text if len(text) <= LONGEST else text[:LONGEST] + "..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
