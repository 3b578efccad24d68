"""What makes the row without clipping or penalty fall on Reacher, from runs of known returns."""

from __future__ import annotations

from pathlib import Path

from analysis.data.load import gather
from analysis.sections.table1.reacher import reacher
from tests.helpers.synthetic import write_none_on_reacher, write_table1


def test_each_change_stands_beside_the_random_policy(tmp_path: Path) -> None:
    write_table1(tmp_path, value=lambda environment, setting, seed: -100.0)
    write_none_on_reacher(tmp_path, {"paper": -500.0, "gradient-clip=none": -6.0, "step-size=annealed": -100.5})
    table = reacher(gather(tmp_path, "none-on-reacher"), gather(tmp_path, "table1"))
    assert table.shown["Changed"].tolist() == ["nothing", "gradient-clip: none", "step-size: annealed"]
    assert table.shown["Below the random policy"].tolist() == ["2 of 2", "0 of 2", "1 of 2"]
    assert table.data["mean"].tolist() == [-499.5, -5.5, -100.0]
    assert "the random policy (−100)" in table.caption
