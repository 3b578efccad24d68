"""What every test needs."""

import pytest

pytest.register_assert_rewrite("tests.helpers", "experiments.contract")  # a check that fails says with which values

from ppo.process import prepare_process  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def _process_as_in_training():
    """Bits are compared below: the process must be set up as the ones that train are."""
    prepare_process()


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    """Commands write where they are called, and MuJoCo leaves its warnings in a MUJOCO_LOG.TXT there."""
    monkeypatch.chdir(tmp_path)
