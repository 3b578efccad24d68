"""Imported runs beside ours: scored per episode as ours are, and averages drawn alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.compare import print_comparison
from analysis.data.imported import gather_imported, imported_curves
from analysis.data.load import gather
from analysis.data.scores import curve_grid
from analysis.report import build
from analysis.sections import figure3_aggregate
from analysis.sections.yours import imported
from analysis.style.formats import csv
from experiments.importing.command import import_runs
from tests.helpers.synthetic import BUDGET, write_figure3


def write_import(results: Path, values: str = "episodes", name: str = "sb3-ppo") -> Path:
    """Two seeds on Hopper: returns 5 and 9, an episode (or average) each 500 steps."""
    rows = [
        {"environment": "Hopper-v4", "algorithm": name, "seed": seed, "step": step, "return": value}
        for seed, value in ((1, 5.0), (2, 9.0))
        for step in range(500, BUDGET + 1, 500)
    ]
    path = results / f"{name}.csv"
    results.mkdir(exist_ok=True, parents=True)
    pd.DataFrame(rows).to_csv(path, index=False)
    import_runs(results, name, [path], values="averages" if values == "averages" else "episodes")
    return results


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write_import(write_figure3(tmp_path / "results", ("ppo", "cem")))


def test_a_row_stands_beside_ours_with_the_same_budget(results: Path) -> None:
    table = imported.table(gather_imported(results), gather(results, "figure3"))
    assert table.shown["Imported"].tolist() == ["7.0 (5.0 · 9.0)"]
    assert table.shown["Ours, PPO (Clip)"].tolist() == ["150 (100 · 200)"]
    assert table.data["difference"].tolist() == [7.0 - 150.0]


def test_averages_have_a_curve_and_no_score(tmp_path: Path) -> None:
    results = write_import(write_figure3(tmp_path / "results"), "averages")
    imports = gather_imported(results)
    table = imported.table(imports, gather(results, "figure3"))
    assert table.shown["Imported"].tolist() == ["–"]
    assert "averages" in table.shown["From"][0]
    curves = imported_curves(imports, *curve_grid(BUDGET))
    assert set(curves.groupby("seed")["mean_return"].max()) == {5.0, 9.0}


def test_an_average_is_not_averaged_again(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    rows = {"environment": "A-v0", "algorithm": "x", "seed": 1, "step": [0, 10_000], "return": [0.0, 100.0]}
    pd.DataFrame(rows).to_csv(path, index=False)
    import_runs(tmp_path, "x", [path], values="averages")
    curve = imported_curves(gather_imported(tmp_path), *curve_grid(20_000)).set_index("step")["mean_return"]
    assert curve[5_000] == pytest.approx(50.0)
    assert np.isnan(curve[11_000])


def test_compare_takes_an_imported_algorithm_and_refuses_averages(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_comparison("ppo", "sb3-ppo", results, None)
    assert "7.0 (5.0 · 9.0)" in capsys.readouterr().out
    write_import(results, "averages", "smooth")
    with pytest.raises(ValueError, match="averages over episodes"):
        print_comparison("ppo", "smooth", results, None)


@pytest.mark.usefixtures("_without_pictures")
def test_the_report_shows_them_and_their_scale_is_not_ours(results: Path, tmp_path: Path) -> None:
    import_of = pd.read_csv(results / "sb3-ppo.csv")
    import_of.assign(algorithm="giant", **{"return": 1e6}).to_csv(results / "giant.csv", index=False)
    import_runs(results, "giant", [results / "giant.csv"], values="episodes")
    build(results, tmp_path / "out")
    data = gather(results, "figure3")
    runs = figure3_aggregate.normalised(data)
    alone = csv(figure3_aggregate.aggregate(data, runs, figure3_aggregate.rows(data, runs)))
    assert (tmp_path / "out/tables/figure3_aggregate.csv").read_text() == alone
    assert "giant" in (tmp_path / "out/tables/imported.md").read_text()
    assert (tmp_path / "out/figures/imported.png").exists()
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "Runs of other programs" in page
    assert '"name":"sb3-ppo"' in page, "the chart of Figure 3 has it"


def test_a_damaged_import_is_named_and_the_others_are_drawn(results: Path) -> None:
    write_import(results, name="other")
    path = results / "imported/sb3-ppo/imported.json"
    path.write_text(json.dumps({"values": "episodes", "runs": [3]}))
    imports, ours = gather_imported(results), gather(results, "figure3")
    table = imported.table(imports, ours)
    assert "imported/sb3-ppo: the data are unreadable" in table.notes[0]
    assert table.shown["Algorithm"].tolist() == ["other"]
    assert len(imported.figure(imports, ours).figure.axes) == 1
