"""What every test needs."""

import pytest

from ppo.process import prepare_process


@pytest.fixture(scope="session", autouse=True)
def _process_as_in_training():
    """Bits are compared below: the process must be set up as the ones that train are."""
    prepare_process()
