"""README.md's own Python is run, and gives what the tables say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import experiments

ROOT = Path(experiments.__file__).parents[1]


def test_the_snippet_gives_the_scores_of_figure_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    exec(code, names)
    printed = capsys.readouterr().out
    table = pd.read_csv("results/tables/figure3.csv")
    table = table[table["last_100_episodes"].notna()]
    assert len(table) == 56
    for row in table.to_dict("records"):
        assert row["algorithm"] in printed
        trained = names["scores"].drop("untrained", level="setting")[f"{row['environment']}-v4", row["algorithm"]]
        assert len(trained) == row["runs"]
        assert trained.mean() == pytest.approx(row["last_100_episodes"], rel=1e-9)
