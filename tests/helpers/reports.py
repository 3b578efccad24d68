"""Reports without their pictures, for tests of what is written: rendering takes nearly all of a report's time."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from analysis import report


@contextmanager
def without_pictures() -> Iterator[None]:
    """Let reports in this process write empty files for their pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "pictures", lambda drawing: {"png": b"", "svg": b""})
        yield
