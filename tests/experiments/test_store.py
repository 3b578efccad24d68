"""Results are never lost, never half-written, and never trusted."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from experiments.paper.settings import MUJOCO
from experiments.run import Run, known_settings, trainable
from experiments.store import files, tables
from experiments.store.files import BusyError, OtherVersionError, StoreError
from experiments.store.records import completed, records_from_json
from ppo.files import write_atomically

RUNS = [Run("Hopper-v4", "ppo", name, seed, 2048, MUJOCO) for name in ("b", "a") for seed in (2, 1)]


def episodes_of(runs=RUNS, count=200):
    rng = np.random.default_rng(7)
    columns = {
        "run": rng.integers(0, len(runs), count, dtype=np.int32),
        "step": np.sort(rng.integers(1, 2048, count)),
        "episodic_return": rng.normal(size=count),
        "episodic_length": rng.integers(1, 99, count, dtype=np.int32),
    }
    return tables.episode_frame([run.record for run in runs], columns)


def one_line_naming(error, path):
    text = str(error.value)
    return "\n" not in text and text.startswith(str(path))


# --- writing


def test_a_disk_that_is_full_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "episodes.parquet"
    path.write_bytes(b"old")

    def full(file):
        file.write(b"half of the ne")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left on device"):
        write_atomically(path, full)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["episodes.parquet"]


def test_each_entry_of_a_list_has_a_line_and_the_file_reads_as_it_was(tmp_path):
    runs = [{"seed": seed, "settings": {"name": "a\nb", "sizes": [64, 64]}} for seed in (1, 2)]
    manifest = {"runs": runs, "protocol": "x", "empty": [], "about": {"torch": {"version": "2.13"}}}
    files.write_json(tmp_path / "manifest.json", manifest)
    text = (tmp_path / "manifest.json").read_text()
    assert json.loads(text) == manifest
    assert [json.loads(line.rstrip(",")) for line in text.splitlines() if '"seed"' in line] == runs


def test_data_that_are_no_strict_json_leave_the_old_file(tmp_path):
    path = tmp_path / "manifest.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(path, {"a": float("nan")})
    assert files.read_json(path) == {"a": 1}
    assert os.listdir(tmp_path) == ["manifest.json"]


def test_a_reader_never_sees_half_a_file(tmp_path):
    path = tmp_path / "x.json"
    files.write_json(path, {"version": "old"})

    def look_while_writing(file):
        file.write(b'{"version":')
        file.flush()
        assert files.read_json(path) == {"version": "old"}
        file.write(b'"new"}')

    write_atomically(path, look_while_writing)
    assert files.read_json(path) == {"version": "new"}


def test_the_same_episodes_give_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        tables.write_table(tmp_path / name, episodes_of())
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_table_has_three_quarters_of_pyarrow_s_own_size(tmp_path):
    rng = np.random.default_rng(0)
    lengths = rng.integers(100, 300, 20_000, dtype=np.int32)
    columns = {"run": np.zeros(20_000, np.int32), "step": lengths.cumsum(dtype=np.int64)}
    columns |= {"episodic_return": rng.normal(1000, 300, 20_000), "episodic_length": lengths}
    frame = tables.episode_frame([RUNS[0].record], columns)
    tables.write_table(tmp_path / "ours", frame)
    frame.to_parquet(tmp_path / "own", index=False, compression="zstd")
    assert (tmp_path / "ours").stat().st_size < 0.75 * (tmp_path / "own").stat().st_size


# --- reading


def test_episodes_come_back_as_they_were_sorted_by_run_and_step(tmp_path):
    frame = episodes_of()
    tables.write_table(tmp_path / "e.parquet", frame)
    back = tables.read_episodes(tmp_path / "e.parquet")
    pd.testing.assert_frame_equal(back, frame, check_exact=True)
    pd.testing.assert_frame_equal(
        back,
        back.sort_values(["environment", "algorithm", "setting", "seed", "step"], kind="stable", ignore_index=True),
    )
    assert {name: str(kind) for name, kind in back.dtypes.items()} == tables.EPISODE_COLUMNS


def test_each_episode_keeps_its_own_run():
    columns = {
        "run": np.array([3, 0], dtype=np.int32),
        "step": np.array([5, 6]),
        "episodic_return": np.array([1.5, -2.5]),
        "episodic_length": np.array([5, 6], dtype=np.int32),
    }
    rows = (
        tables.episode_frame([run.record for run in RUNS], columns)[["setting", "seed", "step", "episodic_return"]]
        .to_numpy()
        .tolist()
    )
    assert rows == [["a", 1, 5, 1.5], ["b", 2, 6, -2.5]]


def test_no_episodes_are_a_table_too(tmp_path):
    tables.write_table(tmp_path / "e.parquet", tables.empty_episodes())
    back = tables.read_episodes(tmp_path / "e.parquet")
    assert len(back) == 0
    assert list(back) == list(tables.EPISODE_COLUMNS)


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_parquet_file_is_refused_by_name(tmp_path, keep):
    path = tmp_path / "episodes.parquet"
    tables.write_table(path, episodes_of())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(StoreError) as error:
        tables.read_episodes(path)
    assert one_line_naming(error, path)


def test_a_foreign_file_is_refused_by_name(tmp_path):
    path = tmp_path / "episodes.parquet"
    path.write_text("environment,algorithm\nHopper-v4,ppo\n")
    with pytest.raises(StoreError) as error:
        tables.read_episodes(path)
    assert one_line_naming(error, path)


@pytest.mark.parametrize("column", tables.EPISODE_COLUMNS)
def test_a_table_without_a_column_is_refused_by_name(tmp_path, column):
    path = tmp_path / "episodes.parquet"
    episodes_of().drop(columns=column).to_parquet(path)
    with pytest.raises(StoreError, match=column) as error:
        tables.read_episodes(path)
    assert one_line_naming(error, path)


@pytest.mark.parametrize(("column", "value"), [("seed", "one"), ("episodic_return", "much"), ("step", None)])
def test_a_table_of_other_things_is_refused_by_name(tmp_path, column, value):
    path = tmp_path / "episodes.parquet"
    episodes_of().assign(**{column: [value] * 200}).to_parquet(path)
    with pytest.raises(StoreError, match=column) as error:
        tables.read_episodes(path)
    assert one_line_naming(error, path)


@pytest.mark.parametrize("content", [b"", b'{"runs": [', b"[1, 2]", b"\xff\xfe\x00", b"null"])
def test_json_that_is_no_object_is_refused_by_name(tmp_path, content):
    path = tmp_path / "manifest.json"
    path.write_bytes(content)
    with pytest.raises(StoreError) as error:
        files.read_json(path)
    assert one_line_naming(error, path)


# --- runs


def test_runs_come_back_as_they_were():
    data = json.loads(json.dumps([run.record.to_json() for run in RUNS], allow_nan=False))
    records = records_from_json("stack.json", data)
    assert records == [run.record for run in RUNS]
    assert [record.key for record in records] == [run.key for run in RUNS]
    assert trainable("stack.json", records) == RUNS


OTHER_VERSIONS = [
    {"algorithm": "pop"},
    {"settings": {**RUNS[0].record.settings, "clip_coff": 0.2}},
    {"settings": {**RUNS[0].record.settings, "norm_reward": True}},
]


@pytest.mark.parametrize("change", OTHER_VERSIONS)
@pytest.mark.parametrize("read", [trainable, lambda path, records: completed(path, records, known_settings())])
def test_runs_of_another_version_are_refused_by_name(change, read):
    """Whether they are to be trained or only to be compared."""
    records = records_from_json("stack.json", [{**RUNS[0].record.to_json(), **change}])
    with pytest.raises(OtherVersionError, match="is of another version of this project") as error:
        read("stack.json", records)
    assert one_line_naming(error, "stack.json")


def test_older_record_has_the_settings_default():
    """A record that is older than a setting is of the run with its default."""
    records = [run.record for run in RUNS]
    older = [replace(record, settings=without(record.settings, "clip_actions")) for record in records]
    assert completed("manifest.json", older, known_settings()) == records
    other = replace(RUNS[0], settings=replace(MUJOCO, clip_actions=True))
    assert completed("manifest.json", [other.record], known_settings())[0].key == other.key != RUNS[0].key


def test_without_defaults_records_stay_as_they_are():
    older = [replace(RUNS[0].record, settings=without(RUNS[0].record.settings, "clip_actions"))]
    assert completed("manifest.json", older, None) == older


def without(settings, name):
    return {key: value for key, value in settings.items() if key != name}


@pytest.mark.parametrize("change", [{"settings": 3}, {"seed": "first"}, {"seed": None}, {"settings": {"gamma": [1]}}])
def test_runs_of_wrong_types_are_refused_by_name(change):
    with pytest.raises(StoreError, match="does not describe runs") as error:
        records_from_json("stack.json", [{**RUNS[0].record.to_json(), **change}])
    assert one_line_naming(error, "stack.json")


@pytest.mark.parametrize("data", [None, 3, [{}], [3], "text"])
def test_what_describes_no_runs_is_refused_by_name(data):
    with pytest.raises(StoreError) as error:
        records_from_json("stack.json", data)
    assert one_line_naming(error, "stack.json")


# --- files that are damaged, folders that cannot be written


def test_a_file_set_aside_never_replaces_another(tmp_path):
    path = tmp_path / "checkpoint.pt"
    for content in ("first", "second", "third"):
        path.write_text(content)
        files.set_aside(path)
    assert not path.exists()
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "checkpoint.pt.damaged-1": "first",
        "checkpoint.pt.damaged-2": "second",
        "checkpoint.pt.damaged-3": "third",
    }


def test_a_folder_that_can_be_written_is_made_and_left_empty(tmp_path):
    files.ensure_writable(tmp_path / "a" / "b")
    assert os.listdir(tmp_path / "a" / "b") == []


def test_a_folder_that_cannot_be_written_is_refused_by_name(tmp_path):
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "results"
    with pytest.raises(StoreError, match=f"cannot write results to {re.escape(str(folder))}: Not a directory"):
        files.ensure_writable(folder)


# --- one process at a time

HOLD = """
import sys, time, pathlib
from experiments.store.files import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_is_held_by_one_process_and_is_free_after_its_death(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match=re.escape(str(tmp_path))), files.locked(tmp_path):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with files.locked(tmp_path):
            pass
    finally:
        holder.kill()
        holder.communicate()
