"""Sanitise untrusted names into file names (no path traversal)."""

import hashlib
import re

LONGEST = 120
"""Characters; a file system takes 255 bytes, of which endings and numbers need some."""


def file_name(text: str) -> str:
    """Turn ``text`` into one component of a path: no folder, no leading dot, safe ASCII, at most ``LONGEST`` of it.

    A slash becomes a dash, as in ALE-Pong-v5. A name that is changed in any other way ends with a digest of ``text``,
    so that two texts do not get the same name.
    """
    plain = text.replace("/", "-")
    safe = re.sub(r"[^A-Za-z0-9_.,:=+@() -]", "-", plain).lstrip(".")
    if safe == plain and 0 < len(safe) <= LONGEST:
        return safe
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:10]
    return f"{safe[: LONGEST - 11]}-{digest}"
