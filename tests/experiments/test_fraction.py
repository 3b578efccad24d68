"""Training the first part of a schedule: a prefix of the whole, kept, and continued later to the same bytes."""

import json
import shutil

import pytest
import torch
from pandas.testing import assert_frame_equal

from experiments.cli.commands import main
from experiments.cli.execution import finished_keys
from experiments.paper.settings import ATARI, usual_settings
from experiments.planning.planner import Stack
from experiments.planning.remaining import left_to_train, without_what_is_saved
from experiments.policies.evaluation import keep_policies, policies_in
from experiments.run import Run
from experiments.store.results import collect, recorded_runs
from experiments.store.stack_folder import StackFolder
from experiments.store.tables import read_episodes
from experiments.training import worker
from experiments.training.executor import FINISHED
from experiments.training.options import Options
from ppo.ppo import PPOSettings

SETTINGS = PPOSettings(num_steps=128, update_epochs=1, anneal_lr=True)
RUNS = [Run("InvertedPendulum-v4", "ppo", "default", seed, 128 * 10, SETTINGS) for seed in (1, 2)]
STACK = Stack(tuple(RUNS))


def train(results, fraction, runs=STACK.runs):
    folder = StackFolder(results / "stacks" / Stack(tuple(runs)).name)
    folder.create([run.record for run in runs])
    assert worker.train(folder, Options(fraction=fraction), stop=False) == FINISHED
    return results


def gather(results, fraction):
    """The protocol's folder: its manifest and episodes."""
    about = {"protocol": "x", "profile": "paper", **({"fraction": fraction} if fraction < 1 else {})}
    assert collect(results, results / "x", about, [run.record for run in RUNS], None) == []
    return json.loads((results / "x" / "manifest.json").read_text()), read_episodes(results / "x" / "episodes.parquet")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(tmp_path_factory.mktemp("whole"), 1.0)


@pytest.fixture(scope="module")
def trained_part(tmp_path_factory):
    return train(tmp_path_factory.mktemp("part"), 0.25)


@pytest.fixture
def part(trained_part, tmp_path):
    return shutil.copytree(trained_part, tmp_path / "part")


def test_it_ends_with_the_iteration_that_reaches_the_part(part):
    manifest, episodes = gather(part, 0.25)
    assert manifest["fraction"] == 0.25
    assert [(run["status"], run["steps_done"], run["total_timesteps"]) for run in manifest["runs"]] == [
        ("finished", 3 * 128, 1280)
    ] * 2
    assert episodes["step"].max() <= 3 * 128


def test_it_is_a_prefix_of_the_whole(part, whole):
    _, first = gather(part, 0.25)
    _, every = gather(whole, 1.0)
    assert len(first) > 20
    assert_frame_equal(first, every[every["step"] <= 3 * 128].reset_index(drop=True), check_exact=True)


def test_it_is_finished_for_the_part_and_not_for_more(part):
    recorded, problems = recorded_runs(part, None)
    assert problems == []
    assert finished_keys(recorded, 0.25) == {run.key for run in RUNS}
    assert finished_keys(recorded, 0.5) == finished_keys(recorded, 1.0) == set()
    (again,) = left_to_train(part, RUNS, finished_keys(recorded, 1.0), workers=1)
    assert again == STACK, "it goes on in the stack in which it was begun"


def test_hours_are_of_what_is_not_saved_yet(part):
    def left(fraction):
        return [run.total_timesteps for run in without_what_is_saved(part, [STACK], fraction)[0].runs]

    assert left(1.0) == [1280 - 3 * 128] * 2
    assert left(0.5) == [640 - 3 * 128] * 2
    assert left(0.25) == left(0.1) == [0, 0]
    folder = StackFolder(part / "stacks" / STACK.name)
    folder.checkpoint.unlink()
    assert left(1.0) == [1280] * 2, "what no checkpoint holds is trained again"
    folder.progress.write_text("{")
    assert left(1.0) == [1280] * 2


def test_the_rest_comes_later_to_the_same_bytes(part, whole):
    _, every = gather(whole, 1.0)
    for fraction in (0.5, 1.0):
        train(part, fraction)
    manifest, episodes = gather(part, 1.0)
    assert {run["status"] for run in manifest["runs"]} == {"finished"}
    assert_frame_equal(episodes, every, check_exact=True)


def test_kept_policy_is_that_of_the_longest_training(part):
    """A policy beside the results is replaced when its run was trained further, and only then."""
    kept = []
    for fraction in (0.25, 0.25, 1.0):
        train(part, fraction)
        keep_policies(part, RUNS[:1])
        kept.append(policies_in(part / "policies")[0].policy.parameters)
    assert torch.equal(kept[0], kept[1])
    assert not torch.equal(kept[1], kept[2])
    assert torch.equal(kept[2], policies_in(part)[0].policy.parameters)


def test_a_kept_policy_that_is_damaged_is_named_and_stops_nothing(part):
    train(part, 0.25)
    keep_policies(part, RUNS[:1])
    (path,) = (part / "policies").iterdir()
    path.write_bytes(b"no policy")
    (problem,) = keep_policies(part, RUNS[:1])
    assert path.name in problem


def test_part_is_kept_when_the_whole_is_asked_for(part):
    """A part is kept where the whole is asked for, even without its stack."""
    _, first = gather(part, 0.25)
    shutil.rmtree(part / "stacks")
    for _ in range(2):
        manifest, episodes = gather(part, 1.0)
        assert [run["status"] for run in manifest["runs"]] == ["running"] * 2
        assert_frame_equal(first, episodes, check_exact=True)


def test_a_run_that_goes_farther_than_the_others_does_not_change_what_they_are(part):
    """In whatever order: the manifest has the part that every run reaches."""
    gather(part, 0.25)
    train(part, 0.5, RUNS[:1])
    for asked in (0.5, 0.25):
        manifest, _ = gather(part, asked)
        assert manifest["fraction"] == 0.25
        assert [run["status"] for run in manifest["runs"]] == ["finished"] * 2
        assert [run["steps_done"] for run in manifest["runs"]] == [640, 384]
    train(part, 0.5, RUNS[1:])
    manifest, _ = gather(part, 0.5)
    assert manifest["fraction"] == 0.5


def test_the_whole_serves_where_a_part_is_asked_for(whole):
    manifest, _ = gather(whole, 0.25)
    assert [(run["status"], run["steps_done"]) for run in manifest["runs"]] == [("finished", 1280)] * 2


def test_no_time_is_left_once_the_part_is_trained(part):
    (posted,) = [json.loads(path.read_text()) for path in part.glob("stacks/*/progress.json")]
    assert (posted["state"], posted["steps_done"], posted["seconds_left"]) == ("finished", 3 * 128, 0)


def test_a_plan_reckons_with_the_part(tmp_path, capsys):
    plan = ["plan", "atari", "--environments", "PongNoFrameskip-v4", "--seeds", "1", "--machines", "cores=1"]
    hours = []
    for fraction, steps in (("1", "30,000,000"), ("0.1", "3,000,000")):
        assert main([*plan, "--results", str(tmp_path), "--fraction", fraction]) == 0
        said = capsys.readouterr().out
        assert f"3 runs in 3 stacks, {steps} steps" in said
        hours.append(float(said.splitlines()[-1].split()[4]))
    assert hours[1] == pytest.approx(hours[0] / 10, rel=0.01)


@pytest.mark.parametrize("wrong", ["0", "1.5", "-0.1", "a tenth", "nan"])
def test_a_part_that_is_none_is_refused(wrong, capsys):
    with pytest.raises(SystemExit):
        main(["plan", "atari", "--fraction", wrong])
    assert "not a fraction above 0 and at most 1" in capsys.readouterr().err


def test_atari_has_its_own_settings(capsys):
    """Atari is trained with its own settings if nothing else is said."""
    assert usual_settings("PongNoFrameskip-v4", "acer") == ATARI["acer"]
    assert usual_settings("Hopper-v4", "ppo") == PPOSettings()
    with pytest.raises(SystemExit):
        main(["train", "PongNoFrameskip-v4", "--help"])
    assert "(default: nature)" in capsys.readouterr().out
