"""The two runs of `precision` beside each other, on made-up games."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.data.load import gather
from analysis.sections.atari import precision
from analysis.style.formats import NOTHING
from tests.helpers.synthetic import write_precision


def test_each_point_is_the_mean_of_the_last_hundred_games(tmp_path: Path) -> None:
    """Game n of the float32 run pays n, of the other 2 n; at every fifth of the steps 80 more have ended."""
    found = precision.measured(gather(write_precision(tmp_path, games=400, length=25), "precision"))
    assert list(found.index) == [2000, 4000, 6000, 8000, 10_000]
    assert np.isnan(found.loc[2000]).all()  # 80 games
    for step, ended in ((4000, 160), (10_000, 400)):
        assert found.loc[step, "default"] == pytest.approx(ended - 49.5)
        assert found.loc[step, "bfloat16"] == pytest.approx(2 * (ended - 49.5))
    shown = precision.table(gather(tmp_path, "precision")).shown
    assert list(shown["float32"])[:2] == [NOTHING, "110.5"]
