"""What the tests of reports share."""

from collections.abc import Iterator

import pytest

from tests.helpers.reports import without_pictures


@pytest.fixture
def _without_pictures() -> Iterator[None]:
    with without_pictures():
        yield
