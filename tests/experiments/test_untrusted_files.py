"""What commands read of somebody else's folder: refused in one line before it takes memory or leads elsewhere."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from experiments.cli.commands import main
from experiments.store import files
from experiments.store.files import StoreError, check_tree, read_json
from experiments.store.manifest import most_rows, read_manifest
from experiments.store.printable import printable
from experiments.store.results import recorded_runs
from experiments.store.tables import EPISODE_COLUMNS, empty_episodes, read_episodes, write_table
from ppo import checkpoint
from tests.helpers.commands import train

RUN = {
    **{"environment": "Hopper-v4", "algorithm": "ppo", "setting": "default", "seed": 1, "total_timesteps": 100},
    **{"settings": {}, "status": "finished", "steps_done": 100, "diverged_at": None, "wall_time": 1.0},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("untrusted") / "out"
    assert train(out, "--total-timesteps", "256", "--seeds", "1", "--clip-coef", "0.2") == 0
    return out


def folder_with(tmp_path, runs, table=None):
    """Results of one protocol."""
    folder = tmp_path / "results" / "figure3"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"protocol": "figure3", "profile": "quick", "runs": runs}))
    write_table(folder / "episodes.parquet", empty_episodes() if table is None else table)
    return folder


def episodes(rows, **changed):
    columns = {name: RUN.get(name, 1) for name in EPISODE_COLUMNS} | changed
    return pd.DataFrame({name: [value] * rows for name, value in columns.items()}).astype(EPISODE_COLUMNS)


# --- JSON

TEXTS: dict[str, str | bytes] = {
    "deep": "[" * 100_000,
    "just too deep": "[" * 40 + "]" * 40,
    "NaN": '{"runs": [{"a": NaN}]}',
    "infinite": '{"a": 1e400}',
    "65 bits": '{"a": 9223372036854775808}',
    "many digits": '{"a": ' + "9" * 10_000 + "}",
    "no text": b"\xff\xfe",
    "many values": "[" + "0," * 1_000_001 + "0]",
    "a list": "[]",
}


@pytest.mark.parametrize("what", TEXTS)
def test_json_that_no_file_of_ours_is_is_refused_in_one_line(tmp_path, what):
    path = tmp_path / "manifest.json"
    text = TEXTS[what]
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(StoreError, match=r"manifest\.json") as error:
        read_json(path)
    assert "\n" not in str(error.value)


def test_json_larger_than_any_is_not_read(tmp_path):
    path = tmp_path / "manifest.json"
    with path.open("wb") as file:
        file.truncate(10**10)  # of nothing, on the disk
    with pytest.raises(StoreError, match="longer than"):
        read_json(path)


def test_the_largest_numbers_of_64_bits_are_read(tmp_path):
    (tmp_path / "x.json").write_text('{"a": 9223372036854775807, "b": 1e300, "c": -0.5}')
    assert read_json(tmp_path / "x.json") == {"a": 2**63 - 1, "b": 1e300, "c": -0.5}


ODD = {
    "no steps_done": lambda run: run.pop("steps_done"),
    "no seed": lambda run: run.pop("seed"),
    "steps in words": lambda run: run.update(steps_done="many"),
    "steps below 0": lambda run: run.update(steps_done=-1),
    "a true seed": lambda run: run.update(seed=True),
    "a seed that is a fraction": lambda run: run.update(seed=1.5),
    "a name that is a list": lambda run: run.update(environment=["Hopper-v4"]),
    "a status that is a number": lambda run: run.update(status=1),
    "time in words": lambda run: run.update(wall_time="abc"),
    "versions in a list": lambda run: run.update(versions=["torch"]),
    "settings in a list": lambda run: run.update(settings=[]),
    "divergence in words": lambda run: run.update(diverged_at="soon"),
    "superseded by a number": lambda run: run.update(superseded=3),
}


@pytest.mark.parametrize("what", ODD)
def test_a_run_with_a_value_that_none_of_ours_has_is_refused_and_told_by_every_command(tmp_path, capsys, what):
    run = json.loads(json.dumps(RUN))
    ODD[what](run)
    folder = folder_with(tmp_path, [run])
    with pytest.raises(StoreError, match=r"manifest\.json has a run with"):
        read_manifest(folder / "manifest.json")
    assert main(["status", "--results", str(folder.parent)]) == 0
    assert "figure3: unreadable" in capsys.readouterr().out
    assert main(["merge", str(tmp_path / "merged"), str(folder.parent)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


FRACTIONS: tuple[Any, ...] = (None, [1], {}, "half", 0, -1, 7, True)


@pytest.mark.parametrize(
    ("name", "value"), [*(("fraction", part) for part in FRACTIONS), ("profile", 3), ("reading", ["ppo1"])]
)
def test_what_a_manifest_cannot_say_of_its_runs_is_refused(tmp_path, capsys, name, value):
    path = folder_with(tmp_path, [RUN]) / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    assert main(["merge", str(tmp_path / "merged"), str(tmp_path / "results")]) == 2
    assert f"manifest.json has {name} = {str(value)!r}" in capsys.readouterr().err
    assert not (tmp_path / "merged").exists()


def test_a_run_that_is_not_begun_needs_no_steps(tmp_path):
    run = {name: value for name, value in RUN.items() if name != "steps_done"} | {"status": "missing"}
    assert most_rows(read_manifest(folder_with(tmp_path, [run]) / "manifest.json")) == 100


# --- Parquet


def test_more_rows_than_the_manifest_s_runs_have_steps_are_not_read(tmp_path):
    folder = folder_with(tmp_path, [RUN], episodes(101))
    recorded, (problem,) = recorded_runs(folder.parent, None)
    assert not recorded
    assert problem.endswith("has 101 rows, and its runs can have 100 episodes")


def whole(rows, **changed):
    """Episodes of ten steps that fill the budget of RUN."""
    return episodes(rows, episodic_length=10, **changed).assign(step=range(10, 10 * rows + 1, 10))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pd.concat([whole(10)] * 2).sort_values("step"), "more steps of Hopper-v4 ppo default 1 than its budget has"),
        (whole(11), "more steps of Hopper-v4 ppo default 1 than its budget has"),
        (whole(10, episodic_return=np.nan), "a return that is no number, of Hopper-v4 ppo default 1"),
        (whole(10, setting="1"), "a run that the manifest does not list: Hopper-v4 ppo 1 1"),
    ],
)
def test_episodes_that_the_manifest_s_runs_cannot_have_are_not_joined(tmp_path, capsys, table, said):
    folder = folder_with(tmp_path, [RUN], table)
    assert main(["merge", str(tmp_path / "merged"), str(folder.parent)]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "merged").exists()


def test_episodes_of_a_run_that_is_not_listed_yet_are_no_damage_while_it_trains(tmp_path):
    """A kill leaves them: the table is written before its manifest."""
    other = whole(5, setting="later")
    folder = folder_with(tmp_path, [RUN], pd.concat([whole(10), other]))
    recorded, problems = recorded_runs(folder.parent, None, mend=True)
    assert (len(recorded), problems) == (1, [])


@pytest.mark.parametrize(
    ("column", "values"), [("step", pa.array([10.5, 20.0, 30.0])), ("episodic_length", pa.array([2**32 + 1, 1, 1]))]
)
def test_numbers_that_a_column_cannot_hold_are_refused_and_not_cut(tmp_path, column, values):
    table = pa.Table.from_pandas(episodes(3), preserve_index=False)
    pq.write_table(table.set_column(table.schema.get_field_index(column), column, values), tmp_path / "e.parquet")
    with pytest.raises(StoreError, match=r"e\.parquet is unreadable"):
        read_episodes(tmp_path / "e.parquet")


def test_rows_are_counted_before_any_is_read(tmp_path, monkeypatch):
    path = tmp_path / "episodes.parquet"
    write_table(path, episodes(101))
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(StoreError, match="101 rows"):
        read_episodes(path, 100)


def test_a_name_that_grows_in_every_row_is_refused(tmp_path):
    """A dictionary holds it once: of a file of kilobytes it would take a gigabyte."""
    path = tmp_path / "episodes.parquet"
    write_table(path, episodes(10_000, setting="x" * 100_000))
    assert path.stat().st_size < 10**5
    with pytest.raises(StoreError, match="has a name of 100,000 bytes"):
        read_episodes(path)


@pytest.mark.parametrize("column", ["seed", "step", "episodic_return", "setting"])
def test_a_column_of_lists_is_refused(tmp_path, column):
    table = pa.Table.from_pandas(episodes(3), preserve_index=False)
    at = table.schema.get_field_index(column)
    pq.write_table(table.set_column(at, column, pa.array([[1], [2], [3]])), tmp_path / "episodes.parquet")
    with pytest.raises(StoreError, match=f"column {column} does not hold"):
        read_episodes(tmp_path / "episodes.parquet")


def test_cells_without_a_number_are_refused_where_there_must_be_one(tmp_path):
    table = pa.Table.from_pandas(episodes(3), preserve_index=False)
    nothing = table.set_column(table.schema.get_field_index("step"), "step", pa.array([1, None, 3], pa.int64()))
    pq.write_table(nothing, tmp_path / "episodes.parquet")
    with pytest.raises(StoreError, match="column step has empty cells"):
        read_episodes(tmp_path / "episodes.parquet")


def test_a_table_is_read_as_it_was_written(tmp_path):
    rng = np.random.default_rng(0)
    table = episodes(200_000)
    table["episodic_return"] = rng.standard_normal(len(table))
    table["setting"] = np.where(rng.random(len(table)) < 0.5, "a", "β")
    table = table.astype(EPISODE_COLUMNS)
    write_table(tmp_path / "episodes.parquet", table)
    pd.testing.assert_frame_equal(read_episodes(tmp_path / "episodes.parquet"), table, check_exact=True)


# --- special files and links

PLACES = (
    *("figure3/manifest.json", "figure3/.lock", "figure3/episodes.parquet", "manifest.json", "policies/x.pt"),
    *("imported/lab/imported.json", "imported/lab/returns.parquet"),
)
STACK = ("progress.json", "stack.json", "checkpoint.pt", "error.txt", "files/x.zst", ".lock")


def everything(tmp_path):
    folder = folder_with(tmp_path, [RUN]).parent
    for path in [folder / place for place in PLACES] + [folder / "stacks" / "one" / name for name in STACK]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


@pytest.mark.parametrize("place", [*PLACES, *(f"stacks/one/{name}" for name in STACK)])
@pytest.mark.parametrize("kind", ["pipe", "socket", "link", "link to a folder"])
def test_no_command_waits_for_a_pipe_or_follows_a_link_out_of_the_folder(tmp_path, monkeypatch, place, kind):
    monkeypatch.chdir(tmp_path)
    folder = everything(tmp_path)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "key").write_text("mine")
    path = folder / place
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(os.path.relpath(path))
    else:
        path.symlink_to(tmp_path / "home" / ("key" if kind == "link" else ""))
    with pytest.raises(StoreError, match="remove") as error:
        check_tree(folder)
    assert str(path) in str(error.value)
    for words in (
        ["status", "--results"],
        ["merge", "merged"],
        ["report", "--results"],
        ["evaluate"],
        ["compare", "a", "b", "--results"],
    ):
        assert main([*words, str(folder)]) == 2, words
    assert (tmp_path / "home" / "key").read_text() == "mine"


@pytest.mark.parametrize("place", ["report.html", "tables/table1.md", "figures/figure3.png", "tables"])
def test_a_report_is_not_written_through_a_link(tmp_path, place):
    folder, home = folder_with(tmp_path, [RUN]).parent, tmp_path / "home"
    home.mkdir()
    (home / "bashrc").write_text("mine")
    (folder / place).parent.mkdir(exist_ok=True)
    (folder / place).symlink_to(home if place == "tables" else home / "bashrc")
    assert main(["report", "--results", str(folder)]) == 2
    assert [path.name for path in home.iterdir()] == ["bashrc"]
    assert (home / "bashrc").read_text() == "mine"


def test_a_folder_that_is_a_link_and_links_inside_of_it_are_fine(tmp_path):
    folder = everything(tmp_path)
    (folder / "figure3" / "again.json").symlink_to("manifest.json")
    (folder / "stacks" / "two").symlink_to("one")
    (tmp_path / "link").symlink_to(folder)
    check_tree(tmp_path / "link")


@pytest.mark.parametrize("command", [["status", "--results"], ["plan", "table1", "--results"], ["evaluate"]])
def test_a_link_to_itself_is_named(tmp_path, capsys, command):
    folder = everything(tmp_path)
    (folder / "circle.json").symlink_to("circle.json")
    assert main([*command, str(folder)]) == 2
    assert "circle.json is a link that leads back to itself: remove it" in capsys.readouterr().err


def test_what_is_beside_the_results_is_not_looked_at(tmp_path):
    folder = everything(tmp_path)
    (folder / ".venv").mkdir()
    (folder / ".venv" / "python").symlink_to("/usr/bin/env")
    os.mkfifo(folder / "somebody's pipe")
    check_tree(folder)


# --- names

NAMES = ["[/x]", "[bold]x", ":smile:", "\x1b[2J\x1b]0;evil\x07", "a\nb", "\u202eevil", "\ud800", "a\x00b", "é β"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_printed_as_text_in_one_line(tmp_path, capsys, name):
    folder = folder_with(tmp_path, [RUN]).parent
    stack = folder / "stacks" / "one"
    stack.mkdir(parents=True)
    (stack / "stack.json").write_text('{"runs": []}')
    (stack / "error.txt").write_bytes(f"shapes {name} differ".encode(errors="replace"))
    assert main(["status", "--results", str(folder)]) == 0
    said = capsys.readouterr().out
    assert len(said.splitlines()) == 2
    assert all(character.isprintable() or character == "\n" for character in said)
    assert printable(name.encode(errors="replace").decode()) in said


def test_what_is_shown_can_be_told_from_what_is_not():
    assert printable("a\x1b[2J\n") == r"a\x1b[2J\n"
    assert printable("Hopper-v4 ε = 0.2 – 1 × 2") == "Hopper-v4 ε = 0.2 – 1 × 2"


def test_a_policy_s_names_do_not_command_the_terminal(tmp_path, capsys, trained):
    path = next((trained / "stacks").glob("*")) / "checkpoint.pt"
    state = checkpoint.load(path)
    state["about"]["runs"][0]["setting"] = "\x1b[2J[/x]"
    checkpoint.save(tmp_path / "policy.pt", state)
    assert main(["evaluate", str(tmp_path / "policy.pt"), "--episodes", "1"]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert r"\x1b[2J[/x]" in said


# --- policies


def changed(trained, path, change):
    """A policy of the training, of which ``change`` has changed the state."""
    state = checkpoint.load(next((trained / "stacks").glob("*")) / "checkpoint.pt")
    change(state)
    checkpoint.save(path, state)
    return str(path)


def one_number(state):
    state["algorithm"]["parameters"] = torch.zeros(1, 1)


def other_type(state):
    state["algorithm"]["parameters"] = state["algorithm"]["parameters"].double()


def too_many_runs(state):
    state["algorithm"]["parameters"] = state["algorithm"]["parameters"].repeat(2, 1)


def no_tensor(state):
    state["algorithm"]["parameters"] = "parameters"


def other_moments(state):
    state["algorithm"]["collector"]["observation_normalizer"]["mean"] = np.zeros((1, 1))


def other_count(state):
    state["algorithm"]["collector"]["observation_normalizer"]["count"] = [1]


def large_network(state):
    for run in state["about"]["runs"]:
        run["settings"]["network"] = "99999-99999"


@pytest.mark.parametrize(
    "change", [one_number, other_type, too_many_runs, no_tensor, other_moments, other_count, large_network]
)
@pytest.mark.parametrize("command", ["evaluate", "video"])
def test_a_policy_that_is_not_its_network_s_is_refused_in_one_line(
    tmp_path, monkeypatch, capsys, trained, change, command
):
    monkeypatch.chdir(tmp_path)
    path = changed(trained, tmp_path / "policy.pt", change)
    assert main([command, path]) == 2
    assert capsys.readouterr().err.startswith(f"ppo: {path} holds no policy of this version: ")


def in_environment(trained, path, environment):
    def change(state):
        state["about"]["runs"][0]["environment"] = environment

    return changed(trained, path, change)


@pytest.mark.parametrize(
    "arguments",
    [
        "InvertedPendulum-v5(xml_file='/tmp/x.xml')",
        "InvertedPendulum-v5(xml_file='./x.xml')",
        "InvertedPendulum-v5(xml_file='..')",
        "InvertedPendulum-v5(xml_file='~')",
        "InvertedPendulum-v5(xml_file='os:system')",
        "InvertedPendulum-v5(xml_file=b'x')",
        "InvertedPendulum-v5(default_camera_config={'a': [('\\\\host',)]})",
        "RoboschoolHumanoid-v0(env_id='x')",
        "GymV26Environment-v0(env_id=1)",
        "Unknown-v0(size=3)",
    ],
)
@pytest.mark.parametrize("command", ["evaluate", "video"])
def test_arguments_in_a_policy_that_may_do_more_than_set_numbers_are_refused(
    tmp_path, monkeypatch, capsys, trained, arguments, command
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gymnasium, "make", lambda *_, **__: pytest.fail("it was made"))
    path = in_environment(trained, tmp_path / "policy.pt", arguments)
    assert main([command, path]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"ppo: {path} gives {arguments.partition('(')[0]} the arguments ")
    assert "--env-kwargs" in said
    assert said.count("\n") == 1


def test_arguments_that_are_numbers_or_words_or_that_the_user_types_are_taken(tmp_path, capsys, trained):
    shipped = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "inverted_pendulum.xml"
    own = tmp_path / "own.xml"
    own.write_bytes(shipped.read_bytes())
    plain = "InvertedPendulum-v5(reset_noise_scale=0.05, xml_file='inverted_pendulum.xml')"
    assert main(["evaluate", in_environment(trained, tmp_path / "plain.pt", plain), "--episodes", "1"]) == 0
    named = in_environment(trained, tmp_path / "named.pt", f"InvertedPendulum-v5(xml_file={str(own)!r})")
    typed = ["--episodes", "1", "--env-kwargs"]
    assert main(["evaluate", named, *typed, f"xml_file={own}"]) == 0
    assert main(["evaluate", named, *typed, f"xml_file={own}.other"]) == 2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_policy_that_is_no_numbers_is_named_and_not_played(tmp_path, capsys, trained, value):
    def spoil(state):
        state["algorithm"]["parameters"][0, 3] = value

    path = changed(trained, tmp_path / "policy.pt", spoil)
    assert main(["evaluate", path]) == 2
    said = capsys.readouterr()
    assert "InvertedPendulum-v4 ppo" in said.out
    assert "its parameters are no numbers (it diverged): not played" in said.out
    assert said.err.strip().endswith("holds no policy that can be played")


# --- measured speeds


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seconds", 0),
        ("seconds", -1),
        ("seconds", "1"),
        ("environment", []),
        ("rows", 0),
        ("rows", 1.5),
        ("algorithm", 7),
    ],
)
def test_speeds_that_no_measurement_gives_are_refused_by_name(tmp_path, capsys, name, value):
    good = {"environment": "Hopper-v4", "algorithm": "ppo", "rows": 33, "seconds": 0.002}
    path = tmp_path / "throughput.json"
    files.write_json(path, {"cpu": {"measured": [good | {name: value}]}})
    assert main(["plan", "table1", "--results", str(tmp_path), "--throughput", str(path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"ppo: {path} holds no measured speeds ({name}")
    assert said.count("\n") == 1
