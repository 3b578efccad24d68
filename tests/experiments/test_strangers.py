"""Files from elsewhere: whatever they hold, they run no code and write nothing where it does not belong."""

import json
import pickle
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.cli import commands as cli
from experiments.planning.planner import Stack
from experiments.run import Run
from experiments.store import files
from experiments.store.file_names import file_name
from experiments.store.files import StoreError
from experiments.store.stack_folder import StackFolder
from experiments.store.tables import EPISODE_COLUMNS, read_episodes
from experiments.training import worker
from experiments.training.executor import FINISHED
from experiments.training.options import Options
from ppo import checkpoint
from ppo.ppo import PPO
from tests.helpers.attack import Attack

SETTINGS = PPO.Settings(num_steps=64, update_epochs=1)
EVIL = {
    "upwards": "../../x",
    "far upwards": "../../../tmp/evil",
    "absolute": "/tmp/evil",
    "itself": ".",
    "the folder above": "..",
    "empty": "",
    "a NUL": "a\0b",
    "lines": "a\nb\rc",
    "of a terminal": "\x1b]0;evil\x07",
    "Windows": "..\\..\\evil",
    "very long": "x" * 5000,
    "very long in bytes": "é" * 200,
    "half a character": "\ud800",
    "hidden": ".bashrc",
}


@pytest.fixture(autouse=True)
def _in_a_deep_folder(tmp_path, monkeypatch):
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b" / "c")


def files_outside(tmp_path, folder):
    return [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(folder)]


# --- names


@pytest.mark.parametrize("kind", EVIL)
def test_any_text_becomes_the_name_of_one_file_in_its_folder(tmp_path, kind):
    path = tmp_path / (file_name(EVIL[kind]) + ".mp4")
    path.touch()
    assert [child.name for child in tmp_path.iterdir() if child.is_file()] == [path.name]
    assert path.parent == tmp_path
    assert path.resolve() == path
    assert path.name.isprintable()


def test_names_that_differ_stay_different():
    texts = [*EVIL.values(), "x" * 5001, "é" * 201, "a\1b", "a-b", "...", "-"]
    assert len({file_name(text) for text in texts}) == len(texts)


@pytest.mark.parametrize(
    "name", ["Hopper-v4", "module.sub:Env-v0", "clip-0.2+reading", "num_steps=256,clip_coef=0.1,update_epochs=2_1"]
)
def test_a_harmless_name_stays_as_it_is(name):
    assert file_name(name) == name


def test_a_slash_becomes_a_dash():
    assert file_name("ALE/Pong-v5") == "ALE-Pong-v5"


@pytest.mark.parametrize("kind", EVIL)
def test_a_stack_of_any_environment_has_a_folder_in_stacks(tmp_path, kind):
    """And one of the same runs the same, whatever they are called."""
    run = Run(EVIL[kind], "ppo", "default", 1, 64, SETTINGS)
    (tmp_path / "stacks" / Stack((run,)).name).mkdir(parents=True)
    assert [path.name for path in (tmp_path / "stacks").iterdir()] == [Stack((run,)).name]
    assert not files_outside(tmp_path, tmp_path / "stacks")


@pytest.mark.parametrize("kind", ["upwards", "absolute", "a NUL", "very long", "the folder above"])
def test_a_setting_of_any_name_has_its_scalars_in_its_stack(tmp_path, kind):
    """As a list of runs from elsewhere may name it."""
    run = Run("InvertedPendulum-v4", "ppo", EVIL[kind], 1, 64, SETTINGS)
    stack = StackFolder(tmp_path / "results" / "stacks" / "one")
    stack.create([run.record])
    assert worker.train(stack, Options(tensorboard=True), stop=False) == FINISHED
    assert len([path for path in (stack.path / "tensorboard").iterdir() if list(path.glob("events*"))]) == 1
    assert not files_outside(tmp_path, stack.path)


@pytest.mark.parametrize("command", ["run", "plan", "status"])
@pytest.mark.parametrize("name", ["../../x", "/tmp/evil", "table1/../../x", ""])
def test_a_protocol_that_is_a_path_is_unknown(tmp_path, capsys, command, name):
    assert cli.main([command, name]) == 2
    assert "unknown protocol" in capsys.readouterr().err
    assert not files_outside(tmp_path, tmp_path / "nowhere")


@pytest.mark.parametrize("why", ["damaged", "replaced"])
def test_what_is_set_aside_stays_where_it_is_and_replaces_no_link(tmp_path, why):
    path = tmp_path / "manifest.json"
    path.write_text("{")
    (tmp_path / f"manifest.json.{why}-1").symlink_to(tmp_path / "elsewhere")
    assert files.set_aside(path, why=why) == [tmp_path / f"manifest.json.{why}-2"]
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("write", [checkpoint.save, files.write_json])
def test_a_link_in_the_place_of_a_half_written_file_is_not_followed(tmp_path, write, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    monkeypatch.setattr("os.getpid", lambda: 7)
    for name in ("x.writing", ".x.7.writing"):
        (tmp_path / name).symlink_to(elsewhere)
    write(tmp_path / "x", {"a": 1})
    assert elsewhere.read_text() == "mine"


# --- environments


def policy_of(environment, path):
    run = Run(environment, "ppo", "default", 1, 64, SETTINGS)
    algorithm = {"parameters": None, "collector": {"observation_normalizer": None}}
    checkpoint.save(path, {"about": {"runs": [run.record.to_json()]}, "algorithm": algorithm})
    return path


@pytest.mark.parametrize("command", ["evaluate", "video"])
def test_a_policy_does_not_import_the_module_of_its_environment(tmp_path, capsys, command, monkeypatch):
    """Gymnasium imports MODULE for MODULE:ENV, and the module may lie beside the policy."""
    (tmp_path / "evil.py").write_text("import pathlib; pathlib.Path(__file__).with_name('trace').touch()")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "evil", raising=False)
    path = policy_of("evil:Environment-v0", tmp_path / "policy.pt")
    assert cli.main([command, str(path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "needs the module 'evil' for 'evil:Environment-v0': --import it if you trust it" in said
    assert not (tmp_path / "trace").exists()
    assert cli.main([command, str(path), "--import", "evil"]) == 2
    assert (tmp_path / "trace").exists(), "where it is asked for, it is imported"


@pytest.mark.parametrize("kind", EVIL)
def test_evil_environment_names_are_refused(tmp_path, capsys, kind):
    """A policy of an environment of any such name is refused in one line."""
    path = policy_of(EVIL[kind], tmp_path / "policy.pt")
    assert cli.main(["evaluate", str(path)]) in (1, 2)
    assert capsys.readouterr().err.count("\n") == 1


# --- Parquet


def table_with(field_metadata, schema_metadata):
    columns = {
        name: pa.array(
            ["x"] if kind == "str" else [1], {"str": pa.string(), "float64": pa.float64()}.get(kind, pa.int64())
        )
        for name, kind in EPISODE_COLUMNS.items()
    }
    columns["more"] = pa.array([b"x"])
    schema = pa.schema(
        [pa.field(name, array.type, metadata=field_metadata) for name, array in columns.items()], schema_metadata
    )
    return pa.table(list(columns.values()), schema=schema)


@pytest.mark.parametrize("where", ["extension", "pandas", "index"])
def test_pickles_in_a_parquet_file_do_not_run(tmp_path, where):
    trace, path = tmp_path / "trace", tmp_path / "episodes.parquet"
    attack = pickle.dumps(Attack(trace))
    about = {
        "index_columns": ["more"] if where == "index" else [],
        "column_indexes": [],
        "columns": [
            {"name": name, "field_name": name, "pandas_type": "object", "numpy_type": "object", "metadata": None}
            for name in [*EPISODE_COLUMNS, "more"]
        ],
        "pandas_version": "3.0.0",
    }
    extension = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": attack}
    pq.write_table(
        table_with(extension if where == "extension" else None, {"pandas": json.dumps(about), "pickle": attack}), path
    )
    frame = read_episodes(path)
    assert list(frame) == list(EPISODE_COLUMNS)
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == EPISODE_COLUMNS
    assert not trace.exists()


def test_a_table_that_is_larger_than_any_memory_is_refused_by_name(tmp_path, monkeypatch):
    path = tmp_path / "episodes.parquet"
    pq.write_table(table_with(None, None), path)

    def read(*arguments, **options):
        raise pa.ArrowMemoryError("malloc of size 4398046511104 failed")

    monkeypatch.setattr(pq, "ParquetFile", read)
    with pytest.raises(StoreError, match=r"episodes\.parquet is unreadable: malloc of size"):
        read_episodes(path)
