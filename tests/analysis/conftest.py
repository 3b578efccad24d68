"""What the tests of reports share."""

import pytest

from analysis import report


@pytest.fixture
def _without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build reports without rendering: for tests of what is written, as pictures take nearly all of the time."""
    monkeypatch.setattr(report, "pictures", lambda drawing: {"png": b"", "svg": b""})
