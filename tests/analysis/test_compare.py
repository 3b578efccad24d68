"""`ppo compare`: numbers against scipy's, and one line for what cannot be compared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from analysis.compare import compare
from analysis.data.load import gather
from analysis.sections import figure3_aggregate
from analysis.sides import chosen
from analysis.style.formats import Table
from experiments.cli.commands import main as command
from tests.helpers.synthetic import (
    BUDGET,
    episodes_of,
    planned,
    write,
    write_atari,
    write_figure3,
    write_table1,
    write_tuning,
)

NOISE = {1: -7.0, 2: 3.0, 3: 9.0}


def value(run: dict[str, Any]) -> float:
    scale = len(run["environment"])
    spread = {"ppo": 1.0, "trpo": 4.0, "cem": 0.5}[run["algorithm"]]
    return scale * ({"ppo": 100.0, "trpo": 90.0, "cem": 20.0}[run["algorithm"]] + spread * NOISE[run["seed"]])


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write_figure3(tmp_path / "results", ("ppo", "trpo", "cem"), value=value, seeds=(1, 2, 3))


def of(first: str, second: str, results: Path, protocol: str | None = None) -> Table:
    return compare(*chosen(first, second, results, protocol))


def main(argv: Sequence[str]) -> int:
    return command(["compare", *argv])


def refused(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    assert main([str(word) for word in argv]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    return printed.err


def trained(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]] = dict, seeds: int = 2) -> Path:
    """A folder as `ppo train Hopper-v4 --seeds 1 2 --clip-coef 0.1 0.2` makes it."""
    runs = [change(planned("Hopper", f"clip_coef={clip}", s + 1)) for clip in (0.1, 0.2) for s in range(seeds)]
    rows = [episodes_of(run, 10.0 * run["seed"] + 100 * float(run["setting"][-3:])) for run in runs]
    write(folder.parent, folder.name, runs, rows, "train")
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "protocol": None}))
    return folder


def test_each_task_is_welchs_test_and_holm_over_the_tasks(results: Path) -> None:
    table = of("ppo", "trpo", results)
    frame = table.data.set_index("task")
    p_values = []
    for name, row in frame.iterrows():
        sides = [[value(planned(str(name), "x", s, algorithm=a)) for s in NOISE] for a in ("ppo", "trpo")]
        expected = scipy.stats.ttest_ind(*sides, equal_var=False)
        interval = expected.confidence_interval()
        assert row["difference"] == pytest.approx(np.mean(sides[0]) - np.mean(sides[1]))
        assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))
        assert row["p"] == pytest.approx(expected.pvalue)
        p_values.append(expected.pvalue)
    assert len(frame) == 7
    assert frame["p_holm"].max() == pytest.approx(min(1.0, 7 * min(p_values)))  # each task only has another scale
    assert table.shown["A: ppo"][1] == "915 (837 · 927 · 981)"


def test_over_the_tasks_it_says_what_figure_3_in_one_number_says(results: Path) -> None:
    data = gather(results, "figure3")
    row = {row.algorithm: row for row in figure3_aggregate.rows(data, figure3_aggregate.normalised(data))}["trpo"]
    (told,) = (note for note in of("ppo", "trpo", results).notes if note.startswith("Over 7 tasks"))
    assert f"A − B {row.difference:.2f} [{row.difference_low:.2f}, {row.difference_high:.2f}]".replace("-", "−") in told
    assert f"p {row.p:.3f}" in told
    assert f"probability {row.ppo_better:.2f}" in of("ppo", "trpo", results).notes[0]


def test_a_run_that_is_in_two_protocols_counts_once(results: Path) -> None:
    write_table1(results)
    shown = of("ppo", "trpo", results).shown
    assert shown["A: ppo"][1].count("·") == 2  # three seeds
    table = of("ppo", "clip-0.1", results)  # in Table 1 `ppo` is eleven settings: that of Figure 3 is meant
    assert table.title == "ppo/clip-0.2 and ppo/clip-0.1"
    assert "From table1; 20,000 steps each." in table.notes
    assert "From figure3; 20,000 steps each." in of("clip-0.2", "cem", results).notes


def test_two_folders(results: Path, tmp_path: Path) -> None:
    other = write_figure3(tmp_path / "other", ("ppo",), value=lambda run: 2 * value(run), seeds=(1, 2, 3))
    table = of("ppo", f"ppo@{other}", results)
    assert table.data["difference"].to_numpy() == pytest.approx([-value_of(name) for name in table.data["task"]])


def value_of(name: str) -> float:
    return float(np.mean([value(planned(name, "x", seed)) for seed in NOISE]))


def test_folders_of_ppo_train_have_no_common_scale(tmp_path: Path) -> None:
    folder = trained(tmp_path / "mine")
    table = of(f"clip_coef=0.1@{folder}", f"clip_coef=0.2@{folder}", tmp_path)
    assert table.data["difference"].tolist() == pytest.approx([-10.0])
    assert any(note.startswith("No common scale: no untrained level") for note in table.notes)


def test_it_prints_markdown(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ppo", "cem", "--results", str(results)]) == 0
    assert capsys.readouterr().out.startswith("# ppo/clip-0.2 and cem/default\n\n| Task ")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("ppo", "trp"), "unknown algorithm or setting in "),
        (("ppo", "trp"), "'trp'; did you mean trpo"),
        (("ppo", "rpo"), "'rpo'; did you mean trpo, trpo/default?"),
        (("ppo", "qqq"), "valid: cem, "),
        (("ppo", "ppo"), "'ppo' and 'ppo' are the same runs: ppo/clip-0.2"),
        (("ppo", "clip-0.2"), "'ppo' and 'clip-0.2' are the same runs: ppo/clip-0.2"),
        (("ppo", "cem@nowhere"), "there is no results folder nowhere"),
        (("ppo", "cem", "--protocol", "figrue3"), "unknown protocol 'figrue3'; did you mean figure3"),
        (("ppo", "cem", "--protocol", "table1"), "has no runs of table1"),
        (("ppo",), "ppo compare"),
    ],
)
def test_names_that_are_not_there(
    results: Path, capsys: pytest.CaptureFixture[str], names: tuple[str, ...], said: str
) -> None:
    if len(names) == 1:
        with pytest.raises(SystemExit, match="2"):
            main([*names, "--results", str(results)])
        assert capsys.readouterr().err.count("\n") == 1
    else:
        assert said in refused(capsys, *names, "--results", results)


def test_a_name_of_several_settings_asks_which(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_table1(tmp_path)
    said = refused(capsys, "ppo", "clip-0.1", "--results", tmp_path)
    assert f"'ppo' has 11 settings in {tmp_path / 'table1'}: name one of them, such as ppo/none" in said


def test_a_copy_of_a_folder_is_the_same_runs(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(results, tmp_path / "copy")
    assert "are the same runs" in refused(capsys, "cem", f"cem@{tmp_path / 'copy'}", "--results", results)


def test_one_seed_has_no_spread(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = write_figure3(tmp_path, ("ppo", "cem"), value=value, seeds=(1,))
    said = refused(capsys, "ppo", "cem", "--results", results)
    assert "one seed of 'ppo' and of 'cem' on HalfCheetah, Hopper," in said
    assert said.endswith("a spread needs at least two\n")


def test_tasks_with_one_seed_are_left_out_and_named(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        short = (run["algorithm"], run["environment"]) == ("cem", "Hopper-v4") and run["seed"] > 1
        return {**run, "status": "running"} if short else run

    table = of("ppo", "cem", write_figure3(tmp_path, ("ppo", "cem"), value=value, change=change))
    assert "Hopper" not in table.data["task"].tolist()
    assert "Left out, as one of the two has fewer than two runs there: Hopper." in table.notes


def test_different_budgets_are_refused(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def longer(run: dict[str, Any]) -> dict[str, Any]:
        return {**run, "total_timesteps": 2 * BUDGET, "steps_done": 2 * BUDGET}

    other = write_figure3(tmp_path / "other", ("cem",), value=value, change=longer)
    said = refused(capsys, "ppo", f"cem@{other}", "--results", results)
    assert f"different budgets: 'ppo' has 20,000 steps, 'cem@{other}' has 40,000 steps" in said


def test_a_part_of_the_budget_is_another_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = write_atari(tmp_path / "part", ["Pong"], lambda run: 1.0 + run["seed"], fraction=0.1)
    whole = write_atari(tmp_path / "whole", ["Pong"], lambda run: 2.0 * run["seed"])
    said = refused(capsys, "ppo", f"ppo@{part}", "--results", whole)
    assert "'ppo' has 10,000,000 steps" in said
    assert "has 1,000,000 steps" in said


def test_versions_of_an_environment_are_not_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = trained(tmp_path / "v4")
    other = trained(tmp_path / "v5", lambda run: {**run, "environment": "Hopper-v5"})
    said = refused(capsys, f"clip_coef=0.1@{folder}", f"clip_coef=0.1@{other}", "--results", tmp_path)
    assert "different versions of one environment: Hopper-v4, Hopper-v5" in said


def test_nothing_in_common_and_nothing_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_atari(tmp_path, ["Pong"], lambda run: 1.0)
    write_tuning(tmp_path)
    assert "'acer' and 'cem/population=20' have no task in common" in refused(
        capsys, "acer", "cem/population=20", "--results", tmp_path
    )
    unfinished = write_figure3(
        tmp_path / "x", ("ppo", "cem"), value=value, change=lambda run: {**run, "status": "running"}
    )
    assert "'ppo' has no finished runs in figure3" in refused(capsys, "ppo", "cem", "--results", unfinished)


def test_damaged_data_are_named(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (results / "figure3" / "manifest.json").write_text("{")
    assert "figure3/manifest.json is unreadable" in refused(capsys, "ppo", "cem", "--results", results)
