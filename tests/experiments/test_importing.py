"""`ppo import`: runs of other programs, from logs that those programs wrote, or one line that says why not."""

import json
import os
import sys
from functools import partial

import gymnasium
import numpy as np
import pandas as pd
import pytest

from experiments.cli.commands import main
from experiments.importing import sources
from experiments.store.files import StoreError
from experiments.store.imported import read_imported

ROWS = pd.DataFrame(
    {"environment": "Hopper-v4", "algorithm": "sac", "seed": 1, "step": [10, 30, 40], "return": [1.0, 2.0, 3.5]}
)


def run_import(results, *words):
    return main(["import", *map(str, words), "--results", str(results)])


def rows_of(results, name):
    return read_imported(results / "imported" / name)[1]


def refused(capsys, results, *words):
    assert run_import(results, *words) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert not (results / "imported").exists() or not list((results / "imported").iterdir()), "nothing is written"
    return printed.err


# --- Stable-Baselines3


class Count(gymnasium.Env):
    """Episodes of a length that the instance has; each step is worth 1."""

    observation_space = gymnasium.spaces.Box(-1, 1, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, length):
        self.length, self.at = length, 0

    def reset(self, seed=None, options=None):
        self.at = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.at += 1
        return np.zeros(1, np.float32), 1.0, self.at == self.length, False, {}


@pytest.fixture(scope="module")
def monitors(tmp_path_factory):
    """A training of Stable-Baselines3 with two environments that step together, episodes of 30 and of 50 steps."""
    stable_baselines3 = pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import DummyVecEnv

    folder = tmp_path_factory.mktemp("sb3")
    env = DummyVecEnv([partial(lambda i: Monitor(Count((30, 50)[i]), str(folder / str(i))), i) for i in (0, 1)])
    stable_baselines3.PPO("MlpPolicy", env, n_steps=100, device="cpu", n_epochs=1).learn(400)
    env.close()
    return folder


def test_each_environment_of_a_run_has_a_monitor_file_and_steps_with_the_others(monitors, tmp_path):
    assert run_import(tmp_path, "sb3-ppo", monitors, "--environment", "Count-v0") == 0
    rows = rows_of(tmp_path, "sb3-ppo")
    ends = sorted([(60 * n, 30.0) for n in range(1, 7)] + [(100 * n, 50.0) for n in range(1, 5)])
    assert sorted(zip(rows["step"], rows["episodic_return"], strict=True)) == ends
    assert rows["step"].is_monotonic_increasing
    about = json.loads((tmp_path / "imported/sb3-ppo/imported.json").read_text())
    assert about["values"] == "episodes"
    assert about["kinds"] == ["monitor.csv of Stable-Baselines3"]
    assert [item["file"].split("/")[1] for item in about["files"]] == ["0.monitor.csv", "1.monitor.csv"]
    assert str(monitors.parent) not in json.dumps(about)


def test_a_monitor_that_does_not_name_its_environment_needs_it(monitors, tmp_path, capsys):
    assert "say --environment" in refused(capsys, tmp_path, "sb3-ppo", monitors)


def test_logs_are_numbered_or_have_the_seeds_that_are_given(monitors, tmp_path, capsys):
    (other := tmp_path / "0.monitor.csv").write_text((monitors / "0.monitor.csv").read_text() + "1.0,1,9.0\n")
    words = ["sb3-ppo", monitors, other, "--environment", "Count-v0"]
    assert run_import(tmp_path / "a", *words) == 0
    assert sorted(rows_of(tmp_path / "a", "sb3-ppo")["seed"].unique()) == [1, 2]
    assert run_import(tmp_path / "b", *words, "--seeds", 5, 7) == 0
    assert sorted(rows_of(tmp_path / "b", "sb3-ppo")["seed"].unique()) == [5, 7]
    capsys.readouterr()
    assert "1 seeds for 2 sources" in refused(capsys, tmp_path / "c", *words, "--seeds", 5)
    assert "are both sb3-ppo on Count-v0, seed 5" in refused(capsys, tmp_path / "c", *words, "--seeds", 5, 5)


# --- TensorBoard


def write_scalars(folder, curves, name="events"):
    """What torch's SummaryWriter writes of each curve, {tag: [(step, value)]}."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))
    for tag, points in curves.items():
        for step, value in points:
            writer.add_scalar(tag, value, step)
    writer.close()
    return folder


def cleanrl(folder, count=20, seed=3):
    """A log as CleanRL's programs write it: return and length of each episode at the step at which it ended."""
    returns = [(10 * (n + 1), float(n)) for n in range(count)]
    curves = {"charts/episodic_return": returns, "charts/episodic_length": [(step, 10.0) for step, _ in returns]}
    return write_scalars(folder / f"Hopper-v4__ppo_continuous_action__{seed}__1700000000", curves)


def test_cleanrls_log_is_per_episode_and_its_folder_names_the_run(tmp_path):
    assert run_import(tmp_path, "cleanrl-ppo", cleanrl(tmp_path)) == 0
    rows = rows_of(tmp_path, "cleanrl-ppo")
    assert rows["step"].tolist() == list(range(10, 201, 10))
    assert rows["episodic_return"].tolist() == [float(n) for n in range(20)]
    assert rows[["environment", "algorithm", "seed"]].drop_duplicates().values.tolist() == [
        ["Hopper-v4", "cleanrl-ppo", 3]
    ]
    assert read_imported(tmp_path / "imported/cleanrl-ppo")[0]["values"] == "episodes"


def test_every_point_of_a_long_log_is_read(tmp_path):
    """TensorBoard's own reader samples 10,000 by default."""
    assert run_import(tmp_path, "cleanrl-ppo", cleanrl(tmp_path, count=10_050)) == 0
    assert len(rows_of(tmp_path, "cleanrl-ppo")) == 10_050


def test_the_averages_of_stable_baselines3_are_marked_as_such(tmp_path, capsys):
    folder = write_scalars(tmp_path / "PPO_1", {"rollout/ep_rew_mean": [(100, 1.0), (200, 2.0)]})
    assert run_import(tmp_path, "sb3-ppo", folder, "--environment", "Hopper-v4") == 0
    assert "never scored" in capsys.readouterr().out
    assert read_imported(tmp_path / "imported/sb3-ppo")[0]["values"] == "averages"


def test_a_curve_that_does_not_say_what_its_points_are_needs_it_said(tmp_path, capsys):
    folder = write_scalars(tmp_path / "mine", {"charts/episodic_return": [(100, 1.0)], "loss": [(100, 0.5)]})
    words = ["other", folder, "--environment", "Hopper-v4"]
    assert "--values episodes, or --values averages" in refused(capsys, tmp_path, *words)
    assert "--scalar: charts/episodic_return, loss" in refused(capsys, tmp_path, *words, "--scalar", "los")
    assert run_import(tmp_path, *words, "--values", "averages") == 0


def test_what_a_log_says_of_itself_is_not_overruled(tmp_path, capsys):
    """Averages would be scored as episodes."""
    write_scalars(tmp_path / "log", {"rollout/ep_rew_mean": [(100, 1.0), (200, 2.0)]})
    words = ["other", tmp_path / "log", "--environment", "Hopper-v4"]
    assert "holds averages, and not episodes: leave out --values" in refused(
        capsys, tmp_path, *words, "--values", "episodes"
    )
    assert run_import(tmp_path, *words, "--values", "averages") == 0


def test_without_tensorboard_it_says_how_to_get_it(tmp_path, capsys, monkeypatch):
    folder = cleanrl(tmp_path)
    monkeypatch.setitem(sys.modules, "tensorboard.backend.event_processing.event_accumulator", None)
    assert "pip install tensorboard" in refused(capsys, tmp_path, "cleanrl-ppo", folder)


# --- tables


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_plain_table_holds_any_number_of_runs(tmp_path, kind, capsys):
    path = tmp_path / f"runs.{kind}"
    frame = pd.concat([ROWS, ROWS.assign(seed=2, step=ROWS["step"] // 2)])
    getattr(frame, f"to_{kind}")(path, index=False)
    assert run_import(tmp_path, "lab", path, "--values", "episodes") == 0
    rows = rows_of(tmp_path, "lab")
    assert rows.groupby("seed")["step"].apply(list).tolist() == [[10, 30, 40], [5, 15, 20]]
    about, _ = read_imported(tmp_path / "imported/lab")
    assert [run["status"] for run in about["runs"]] == ["finished", "running"]
    assert "seed 2 ends at 20 of 40 steps: drawn, not scored" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("frame", "flags", "said"),
    [
        (ROWS.assign(step=[10, 40, 30]), [], "fall from 40 to 30 in row 3: step counts a run's environment steps"),
        (pd.concat([ROWS, ROWS]), [], "seed 1 fall from 40 to 10 in row 4"),
        (ROWS, ["--environment", "Hopper-v4"], "names its own runs: leave out --environment"),
        (ROWS, ["--seeds", "7"], "names its own runs: leave out --seeds"),
        (ROWS, ["--scalar", "loss"], "names its own runs: leave out --scalar"),
    ],
)
def test_what_a_table_says_is_not_changed_silently(tmp_path, capsys, frame, flags, said):
    frame.to_csv(tmp_path / "runs.csv", index=False)
    words = ["lab", tmp_path / "runs.csv", "--values", "episodes", *flags]
    assert said in refused(capsys, tmp_path / "results", *words)


def test_one_file_is_one_run(tmp_path, capsys):
    """The same log under two names would count as two seeds."""
    for name in ("one.csv", "two.csv"):
        ROWS.to_csv(tmp_path / name, index=False)
    words = ["lab", tmp_path / "one.csv", tmp_path / "two.csv", "--values", "episodes"]
    assert "hold the same: name each log once" in refused(capsys, tmp_path / "results", *words)


def test_no_link_leads_what_is_imported_elsewhere(tmp_path, capsys):
    ROWS.to_csv(tmp_path / "runs.csv", index=False)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "imported").symlink_to(tmp_path / "elsewhere")
    words = ["lab", tmp_path / "runs.csv", "--values", "episodes"]
    assert "leads out of" in refused(capsys, tmp_path / "results", *words)


def test_names_of_ours_are_kept_apart(tmp_path):
    path = tmp_path / "runs.csv"
    pd.concat([ROWS, ROWS.assign(algorithm="ppo")]).to_csv(path, index=False)
    assert run_import(tmp_path, "lab", path, "--values", "episodes") == 0
    assert set(rows_of(tmp_path, "lab")["algorithm"]) == {"sac", "lab-ppo"}


def test_what_comes_after_the_budget_is_left_out(tmp_path):
    path = tmp_path / "runs.csv"
    ROWS.to_csv(path, index=False)
    assert run_import(tmp_path, "lab", path, "--values", "episodes", "--total-timesteps", 30) == 0
    assert rows_of(tmp_path, "lab")["step"].tolist() == [10, 30]


SOME = pd.array(["a", None, "a"], dtype="str")
BAD = {
    "a column is missing": (ROWS.drop(columns="step"), "lacks the columns step"),
    "a return is no number": (ROWS.assign(**{"return": [1.0, np.nan, 2.0]}), "return has no number in row 2"),
    "a return is infinite": (ROWS.assign(**{"return": [1.0, np.inf, 2.0]}), "return has no number in row 2"),
    "returns are words": (ROWS.assign(**{"return": "high"}), "return does not hold numbers"),
    "a step is negative": (ROWS.assign(step=[-1, 2, 3]), "step needs whole numbers of at least 0"),
    "a step is no whole number": (ROWS.assign(step=[0.5, 2, 3]), "step needs whole numbers of at least 0"),
    "a seed is missing": (ROWS.assign(seed=[1, np.nan, 1]), "seed has no number in row 2"),
    "an environment is missing": (
        ROWS.assign(environment=pd.array(["a", None, "a"], dtype="str")),
        "environment has a cell that is no name",
    ),
    "no rows": (ROWS.iloc[:0].astype({"seed": "int64"}), "has no rows"),
}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("bad", BAD)
def test_a_bad_table_is_refused_in_one_line(tmp_path, bad, kind, capsys):
    frame, said = BAD[bad]
    path = tmp_path / f"runs.{kind}"
    getattr(frame, f"to_{kind}")(path, index=False)
    assert said in refused(capsys, tmp_path / "results", "lab", path, "--values", "episodes")


FILES = {
    "runs.csv": b"\xff\xfe\x00",
    "runs.parquet": b"PAR1 and no more",
    "x.monitor.csv": b"#{broken\nr,l,t\n1,2,3\n",
    "y.monitor.csv": b'#{"t_start": 1, "env_id": "A-v0"}\nr,t\n1,3\n',
    "z.monitor.csv": b'#{"t_start": 1, "env_id": "A-v0"}\nr,l,t\n',
    "notes.txt": b"hello",
    "deep.monitor.csv": b"#" + b"[" * 100_000 + b"\nr,l,t\n1,2,3\n",
    "list.monitor.csv": b'#{"env_id": ["\\ud800"]}\nr,l,t\n1,2,3\n',
    "name.monitor.csv": b'#{"env_id": "\\u001b[2J"}\nr,l,t\n1,2,3\n',
    "wide.csv": b"a," * 100_000 + b"\n1\n",
    "digits.csv": b"environment,algorithm,seed,step,return\nA,b,1," + b"9" * 10_000 + b",1\n",
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_damaged_or_another_is_named(tmp_path, name, capsys):
    path = tmp_path / name
    path.write_bytes(FILES[name])
    assert name in refused(capsys, tmp_path / "results", "lab", path, "--values", "episodes")


def test_a_file_above_the_limit_is_not_read(tmp_path, capsys, monkeypatch):
    ROWS.to_csv(tmp_path / "runs.csv", index=False)
    for place in "ab":
        (tmp_path / f"{place}.monitor.csv").write_text('#{"env_id": "A-v0"}\nr,l,t\n1,2,3\n')
    monkeypatch.setattr(sources, "MOST_BYTES", 60)
    for source in ("runs.csv", "."):
        assert "longer than" in refused(capsys, tmp_path / "results", "lab", tmp_path / source, "--values", "episodes")


def test_links_that_lead_out_of_a_folder_and_pipes_are_refused(tmp_path, capsys):
    folder, secret = tmp_path / "logs", tmp_path / "secret"
    folder.mkdir()
    secret.write_text('#{"env_id": "A-v0"}\nr,l,t\n1,2,3\n')
    (folder / "0.monitor.csv").symlink_to(secret)
    assert "leads out of" in refused(capsys, tmp_path / "results", "lab", folder)
    (folder / "0.monitor.csv").unlink()
    for name in ("0.monitor.csv", "events.out.tfevents.1"):
        os.mkfifo(folder / name)
        words = ["lab", folder / name, "--environment", "A-v0"]
        assert "is not a regular file" in refused(capsys, tmp_path / "results", *words)
    os.mkfifo(folder / "runs.csv")
    assert "runs.csv" in refused(capsys, tmp_path / "results", "lab", folder / "runs.csv")


def test_more_rows_than_steps_are_refused(tmp_path, capsys):
    pd.concat([ROWS] * 20).sort_values("step").to_csv(tmp_path / "runs.csv", index=False)
    words = ["lab", tmp_path / "runs.csv", "--values", "episodes"]
    assert "60 rows in 40 steps" in refused(capsys, tmp_path / "results", *words)


ABOUT = {"runs": 5, "values": ["episodes"], "kinds": "CSV", "scalars": [1]}


@pytest.mark.parametrize("key", ABOUT)
def test_what_describes_an_import_is_not_trusted(tmp_path, key):
    ROWS.to_csv(tmp_path / "runs.csv", index=False)
    assert run_import(tmp_path, "lab", tmp_path / "runs.csv", "--values", "episodes") == 0
    path = tmp_path / "imported/lab/imported.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: ABOUT[key]}))
    with pytest.raises(StoreError, match=r"imported\.json"):
        read_imported(path.parent)


@pytest.mark.parametrize("name", ["../elsewhere", "ppo", ".hidden", "a/b"])
def test_a_name_that_cannot_be(tmp_path, name, capsys):
    ROWS.to_csv(tmp_path / "runs.csv", index=False)
    refused(capsys, tmp_path / "results", name, tmp_path / "runs.csv", "--values", "episodes")


def test_an_import_is_not_replaced(tmp_path, capsys):
    ROWS.to_csv(tmp_path / "runs.csv", index=False)
    words = ["lab", tmp_path / "runs.csv", "--values", "episodes"]
    assert run_import(tmp_path, *words) == 0
    assert run_import(tmp_path, *words) == 2
    assert run_import(tmp_path, "other", *words[1:]) == 2
    assert "has an algorithm 'sac' already" in capsys.readouterr().err


def test_run_plan_status_and_merge_do_not_see_imports(tmp_path, capsys):
    ROWS.to_csv(tmp_path / "runs.csv", index=False)
    assert run_import(tmp_path / "results", "lab", tmp_path / "runs.csv", "--values", "episodes") == 0
    before = {path: path.read_bytes() for path in (tmp_path / "results").rglob("*") if path.is_file()}
    capsys.readouterr()
    for command in (["status"], ["plan", "figure3", "--profile", "quick"]):
        assert main([*command, "--results", str(tmp_path / "results")]) == 0
        assert "lab" not in capsys.readouterr().out
    assert main(["merge", str(tmp_path / "merged"), str(tmp_path / "results")]) == 2
    assert "holds no results" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (tmp_path / "results").rglob("*") if path.is_file()} == before
