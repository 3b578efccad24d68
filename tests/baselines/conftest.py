"""What every test of the algorithms needs."""

import pytest

pytest.register_assert_rewrite("contract")  # so that a check that fails says with which values


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    """MuJoCo leaves its warnings about runs that blow up in a MUJOCO_LOG.TXT where they are trained."""
    monkeypatch.chdir(tmp_path)
