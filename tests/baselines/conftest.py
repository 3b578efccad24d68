"""What every test of the algorithms needs."""

import pytest


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    """MuJoCo leaves its warnings about runs that blow up in a MUJOCO_LOG.TXT where they are trained."""
    monkeypatch.chdir(tmp_path)
