"""What every test of the environments needs."""

import pytest


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    """Gymnasium's own MuJoCo tasks leave a MUJOCO_LOG.TXT where they are made."""
    monkeypatch.chdir(tmp_path)
