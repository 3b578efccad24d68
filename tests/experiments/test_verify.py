"""`ppo verify`: what was tampered with is found, and what is right is called so."""

import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest

from analysis.report import build
from analysis.verify import Remade, compared, remake
from experiments.cli.checking.verify import against, conclude, told
from experiments.cli.commands import main
from experiments.store import provenance
from experiments.store.tables import read_episodes, write_table
from experiments.verification import retraining
from experiments.verification.comparison import Retrained, compare, differences, equal_from_the_first
from experiments.verification.retraining import candidates, pick, retrain
from tests.helpers.commands import SECONDS, train
from tests.helpers.processes import forked_workers

PROFILE = replace(SECONDS, total_timesteps=4096, figure3_algorithms=("ppo",))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Real results, small: PPO on InvertedPendulum, two seeds, with their report."""
    folder = tmp_path_factory.mktemp("verify") / "results"
    flags = ["--profile", "quick", "--workers", "1", "--results", str(folder)]
    with forked_workers():
        assert main(["run", "figure3", *flags], {"quick": PROFILE}) == 0
    shutil.rmtree(folder / "stacks")
    build(folder, folder)
    return folder


@pytest.fixture
def results(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "results")
    return tmp_path / "results"


def runs_of(results):
    return [own for own in candidates(results) if own.entry["seed"] == 1]


def change_manifest(results, change):
    path = results / "figure3" / "manifest.json"
    manifest = json.loads(path.read_text())
    for run in manifest["runs"]:
        change(run)
    path.write_text(json.dumps(manifest))


def begun(run):
    """What a run began with that ended with the same: a manifest says it only where they differ."""
    assert "began_with" not in run
    return {**run["versions"], "processor": run["processor"], "commit": run["commit"]}


def change_returns(results, seed=1):
    """From the fourth episode of a run on."""
    path = results / "figure3" / "episodes.parquet"
    table = read_episodes(path)
    mine = (table["seed"] == seed) & (table["setting"] != "untrained")
    table.loc[table[mine].index[3:], "episodic_return"] += 1.0
    write_table(path, table)


def test_what_was_just_trained_is_verified(results, capsys):
    assert main(["verify", "--results", str(results), "--runs", "2"]) == 0
    said = capsys.readouterr().out
    assert "VERIFIED: 2 of 2 runs begun again are equal to the bit; every table and figure" in said
    assert "NOT VERIFIED" not in said


def test_changed_episodes_show_in_the_tables_and_in_the_run(results, capsys):
    change_returns(results)
    remade = remake(results)
    assert any(problem.startswith("tables/scores.csv differs") for problem in remade.problems)
    (own,) = runs_of(results)
    again = retrain(own, 2048)
    assert (again.same, again.equal, again.differs) == (False, 3, ())
    verdict, code = conclude(remade, [again])
    assert code == 1
    assert verdict.startswith("NOT VERIFIED")
    assert "1 differs where nothing explains it" in verdict


def test_a_changed_number_in_a_table_is_found(trained, results):
    path = results / "tables" / "figure3.csv"
    path.write_text(path.read_text().replace("InvertedPendulum,ppo,2", "InvertedPendulum,ppo,3"))
    assert any("tables/figure3.csv differs" in problem for problem in compared(trained, results).problems)


def test_a_changed_line_in_a_figure_is_found_and_other_letters_are_not(trained, results):
    path = results / "figures" / "figure3.svg"
    before = path.read_text()
    place = before.index('d="M ', before.index('id="line2d_')) + len('d="M ')
    path.write_text(before[:place] + "9" + before[place:])
    assert any("figures/figure3.svg is drawn" in problem for problem in compared(trained, results).problems)
    place = before.index("<path", before.index('id="text_1"'))
    path.write_text(before[:place] + '<path d="M 1 2"/>' + before[place:])
    assert compared(trained, results).problems == ()


def test_files_that_are_missing_or_of_nothing_are_named(trained, results):
    (results / "tables" / "figure3.md").unlink()
    (results / "tables" / "mine.md").write_text("x")
    problems = compared(trained, results).problems
    assert "tables/figure3.md is missing" in problems
    assert "tables/mine.md is made from no data here" in problems


def test_other_versions_are_named_and_the_seeds_range_decides(results):
    change_manifest(results, lambda run: run.update(began_with={**begun(run), "torch": "1.0"}))
    (own,) = runs_of(results)
    again = replace(retrain(own, 2048), same=False)
    assert again.differs == (f"torch {provenance.versions()['torch']}, not 1.0",)
    assert again.inside
    assert again.seeds == 2
    verdict, code = conclude(Remade(1, 1, 1, ()), [again, replace(again, mean=again.high + 1)])
    assert code == 0
    assert "2 cannot be here; of 2 with several recorded seeds 1 lie in their range" in verdict
    assert "is inside the 2 recorded seeds' " in told(again)
    assert "is beside the one recorded seed's " in told(replace(again, seeds=1))


@pytest.mark.parametrize(("near", "count"), [(0.0, 1), (1e-5, 2), (1.0, 3)])
def test_episodes_are_equal_from_the_first_on(near, count):
    recorded = pd.DataFrame({"step": [10, 20, 30], "episodic_return": [-100.0, -200.0, -300.0]})
    here = recorded.assign(episodic_return=[-100.0, -200.001, -310.0])
    assert equal_from_the_first(recorded, here, near) == count


def test_files_of_strangers_are_unreadable_in_one_line(trained, results, monkeypatch):
    laughs = b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "aaaa">]><svg>&a;</svg>'
    (results / "figures" / "figure3.svg").write_bytes(laughs)
    (results / "figures" / "figure1.svg").write_bytes(b"<svg>")
    problems = compared(trained, results).problems
    assert "figures/figure3.svg is unreadable: it defines entities, which no picture of ours does" in problems
    assert any(problem.startswith("figures/figure1.svg is unreadable: ") for problem in problems)
    monkeypatch.setattr("analysis.verify.MOST_BYTES", 1000)
    problems = compared(trained, results).problems
    assert any(problem.startswith("report.html is unreadable: ") and "longer than" in problem for problem in problems)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"microarchitecture": "other"}, "processor microarchitecture"),
        ({"vector_extensions": {"torch": "NONE"}}, "processor vector_extensions"),
        (None, "a processor that was not recorded"),
        ({"model": "another of the same kind"}, ""),
    ],
)
def test_what_of_the_processor_differs_is_named(results, change, said):
    (own,) = runs_of(results)
    processor = {**provenance.processor(), **change} if change else None
    entry = {**own.entry, "began_with": {**begun(own.entry), "processor": processor}}
    here = {**provenance.versions(), "processor": provenance.processor()}
    found = differences(entry, here, own.entry["engine"])
    assert " ".join(found).startswith(said)
    assert bool(said) == bool(found)


def test_runs_are_picked_by_the_seed_and_dear_or_superseded_ones_never(results, monkeypatch):
    found = candidates(results)
    assert {own.entry["setting"] for own in found} == {"clip-0.2"}, "the untrained policy has nothing to train"
    assert pick(found, 2, seed=1) == pick(found, 2, seed=1)
    assert len({tuple(own.entry["seed"] for own in pick(found, 2, seed)) for seed in range(20)}) == 2
    monkeypatch.setattr(retraining, "CHEAP", 1e-6)
    assert candidates(results) == []
    monkeypatch.undo()
    change_manifest(results, lambda run: run.update(superseded="wrong"))
    assert candidates(results) == []


@pytest.mark.parametrize("change", [{"environment": "this_module:Env-v0"}, {"algorithm": "this_module:Own"}])
def test_no_module_that_a_record_names_is_imported(results, change):
    change_manifest(results, lambda run: run.update(change))
    path = results / "figure3" / "episodes.parquet"
    write_table(path, read_episodes(path).assign(**change))
    assert candidates(results) == []


def test_a_folder_of_one_training_is_verified_too(tmp_path, capsys):
    out = tmp_path / "out"
    assert train(out, "--total-timesteps", "512") == 0
    assert main(["report", str(out)]) == 0
    capsys.readouterr()
    assert main(["verify", "--results", str(out), "--runs", "1"]) == 0
    assert "\nVERIFIED: 1 of 1 runs begun again are equal to the bit" in capsys.readouterr().out


def test_where_nothing_is_in_both_nothing_is_compared(results, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["verify", "--results", str(results), "--against", str(tmp_path / "empty")]) == 2
    assert "is also recorded in" in capsys.readouterr().err


def test_a_prefix_is_compared_with_the_whole_at_its_own_step(trained, tmp_path, capsys):
    """Half of the same runs has the same episodes; one changed return is an unexplained difference."""
    half = tmp_path / "half"
    flags = ["--profile", "quick", "--workers", "1", "--fraction", "0.5", "--results", str(half)]
    with forked_workers():
        assert main(["run", "figure3", *flags], {"quick": PROFILE}) == 0
    assert main(["verify", "--results", str(half), "--against", str(trained)]) == 0
    assert f"of 2 runs that are recorded in {trained} too, 2 have the same episodes" in capsys.readouterr().out
    assert {run.steps for run in compare(half, trained)} == {2048}
    shutil.rmtree(half / "stacks")
    change_returns(half)
    assert main(["verify", "--results", str(half), "--against", str(trained)]) == 1
    said = capsys.readouterr().out
    assert "seed 1: DIFFERS after 3 of" in said
    assert "1 differs where nothing explains it" in said


def thinned(results, kept):
    """The results with only ``kept`` of each trained run's episodes, a function of their number in each run's order."""
    path = results / "figure3" / "episodes.parquet"
    table = read_episodes(path)
    number = table.groupby(["setting", "seed"]).cumcount()
    write_table(path, table[kept(number) | (table["setting"] == "untrained")])
    change_manifest(results, lambda run: run.update(thinned="some") if run["setting"] != "untrained" else None)
    return results


def test_of_a_run_that_is_not_recorded_whole_the_episodes_that_are_kept_are_compared(results, tmp_path, capsys):
    reference = thinned(shutil.copytree(results, tmp_path / "reference"), lambda number: number % 3 == 1)
    assert candidates(reference) == [], "their first steps are not all there"
    runs = compare(results, reference)
    assert [run.same for run in runs] == [True, True]
    whole = [run.episodes for run in compare(results, results)]
    assert [run.episodes for run in runs] == [(count + 1) // 3 for count in whole]
    assert main(["verify", "--results", str(reference), "--against", str(results)]) == 2
    assert "is also recorded in" in capsys.readouterr().err
    change_returns(results)
    assert [(run.same, run.equal) for run in compare(results, reference)] == [(False, 1), (True, runs[1].episodes)]


def test_of_episodes_that_ended_together_the_last_ones_are_kept(trained, tmp_path):
    """As where the last 100 begin among them."""
    results = shutil.copytree(trained, tmp_path / "results")
    path = results / "figure3" / "episodes.parquet"
    table = read_episodes(path)
    mine = table["setting"] != "untrained"
    table.loc[mine, "step"] = (table.loc[mine, "step"] // 50 * 50).clip(lower=50)
    write_table(path, table)
    reference = thinned(shutil.copytree(results, tmp_path / "reference"), lambda number: number > 6)
    assert table[mine].groupby("seed")["step"].apply(lambda steps: steps.iloc[6] == steps.iloc[7]).any()
    assert [run.same for run in compare(results, reference)] == [True, True]


def test_runs_of_another_processor_are_counted_in_the_range_of_the_seeds(results, tmp_path):
    other = shutil.copytree(results, tmp_path / "other")
    change_manifest(other, lambda run: run.update(began_with={**begun(run), "torch": "1.0"}))
    change_returns(other)
    first, second = compare(other, results)
    assert (first.same, second.same) == (False, True)
    assert first.differs == (f"torch 1.0, not {provenance.versions()['torch']}",)
    assert (first.seeds, second.seeds) == (2, 2)


def test_how_many_lie_in_the_range_is_said_beside_what_chance_gives():
    run = Retrained("a", 100, 5, 2, 3, False, ("torch 1.0, not 2.0",), mean=5.0, low=4.0, high=6.0, seeds=3)
    lines, code = against([run, run, replace(run, mean=7.0), replace(run, same=True)], "results")
    assert code == 0
    assert lines == [
        "of 4 runs that are recorded in results too, 1 have the same episodes, to the bit",
        "3 have other rounding (torch 1.0, not 2.0)",
        "of these, 2 of 3 have a mean return within the range of the seeds there at the same step; 2 is what chance "
        "alone gives",
    ]
