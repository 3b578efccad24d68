"""A real Ray cluster, its nodes all on this machine: the same results, whatever happens to the nodes."""

import json
import signal
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from experiments.cli import commands as cli
from experiments.store import provenance
from experiments.store.files import locked
from experiments.store.stack_folder import StackFolder
from experiments.training import ray_cluster
from experiments.training.executor import FAILED
from experiments.training.launch import WorkerActor
from experiments.training.options import Options
from experiments.training.ray_cluster import RayExecutor
from tests.helpers.commands import begin, end, same_episodes, stacks_of, train, train_flags, wait_for, working_on

MISSING = "Ray is not installed: pip install -e '.[cluster]'"
LONG = ("--total-timesteps", "10240", "--checkpoint-interval", "0")


@pytest.fixture(scope="module")
def cluster():
    """A head without cores, and two nodes of one core each."""
    pytest.importorskip("ray", reason=MISSING)
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        for _ in range(2):
            nodes.add_node(num_cpus=1)
        yield nodes
        nodes.shutdown()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The same training in a process of this machine."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    assert train(out, *LONG) == 0
    return out


def parent(pid):
    """The parent's process id."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def node_of(cluster, pid):
    """The node that trains in process ``pid``: the worker's parent is its keeper, and that one's the node's raylet."""
    raylet = parent(parent(pid))
    return next(
        node for node in cluster.worker_nodes if raylet in [one.process.pid for one in node.all_processes["raylet"]]
    )


def test_lost_nodes_stack_continues_elsewhere(cluster, undisturbed, tmp_path):
    """A lost node's stack continues elsewhere, once nothing there holds it."""
    out = tmp_path / "out"
    flags = [*train_flags(out, *LONG, workers=1), "--cluster", cluster.address]
    process = begin(flags)
    stack = wait_for(lambda: next(filter(working_on, stacks_of(out)), None))
    pid = working_on(stack)
    cluster.remove_node(node_of(cluster, pid), allow_graceful=False)
    with locked(stack, patience=60):  # as a worker that is alive on the lost node, where the network is split
        wait_for(lambda: "is being written by another process" in (stack / "log.txt").read_text())
    said = end(process)
    assert process.returncode == 0, said
    assert f"moving    {stack.name}" in said
    assert "continuing at step" in (stack / "log.txt").read_text()
    assert same_episodes(out, undisturbed)
    assert (out / "episodes.parquet").read_bytes() == (undisturbed / "episodes.parquet").read_bytes()
    assert json.loads((stack / "progress.json").read_text())["pid"] != pid


def test_ctrl_c_stops_cleanly_and_the_same_command_continues(cluster, undisturbed, tmp_path):
    out = tmp_path / "out"
    flags = [*train_flags(out, *LONG, workers=2), "--cluster", cluster.address]
    process = begin(flags)
    wait_for(lambda: any(map(working_on, stacks_of(out))))
    process.send_signal(signal.SIGINT)
    said = end(process)
    assert process.returncode == 130, said
    assert "the same command continues" in said
    stack = next(folder for folder in stacks_of(out) if (folder / "progress.json").exists())  # one node: one begun
    assert json.loads((stack / "progress.json").read_text())["state"] == "stopped"
    assert train(out, *LONG) == 0, "also without the cluster"
    assert "continuing at step" in (stack / "log.txt").read_text()
    assert same_episodes(out, undisturbed)


def test_a_cluster_without_room_is_named(cluster):
    import ray

    with pytest.raises(ValueError, match=r"has no room for a stack, which takes 1 core and 0\.25 of a GPU"):
        RayExecutor(cluster.address, None, 0.25, Options())
    ray.shutdown()


class Elsewhere:
    """An actor of a module that no node has, as this project is on a node that lacks it."""

    def start(self, folder, options, versions):
        raise AssertionError("it is never made")


def test_a_node_that_lacks_the_project_ends_the_stack_with_that_reason(cluster, tmp_path, monkeypatch, capsys):
    import ray

    of_no_node = ModuleType("of_this_machine")
    monkeypatch.setattr(of_no_node, "Elsewhere", Elsewhere, raising=False)
    monkeypatch.setattr(Elsewhere, "__module__", of_no_node.__name__)
    monkeypatch.setitem(sys.modules, of_no_node.__name__, of_no_node)
    monkeypatch.setattr(ray_cluster, "WorkerActor", Elsewhere)
    assert cli.main([*train_flags(tmp_path / "out", workers=1), "--cluster", cluster.address]) == 1
    said = capsys.readouterr().out
    assert "a node cannot make a worker: " in said
    assert "No module named 'of_this_machine'" in said
    assert "moving" not in said
    ray.shutdown()


def test_a_stack_that_is_begun_nowhere_moves_a_few_times_and_ends(tmp_path):
    executor = SimpleNamespace(
        ray=SimpleNamespace(kill=lambda actor: None),
        actors=SimpleNamespace(remote=lambda: SimpleNamespace(start=SimpleNamespace(remote=lambda *_: None))),
        options=Options(),
    )
    job = ray_cluster.RayJob(SimpleNamespace(runs=()), StackFolder(tmp_path / "stacks" / "one"), executor)
    assert [job._move() for _ in range(ray_cluster.MOST_MOVES + 1)] == [None] * ray_cluster.MOST_MOVES + [FAILED]
    assert "Ray's logs" in job.refused


def test_a_dead_address_of_auto_takes_one_line_and_no_time(tmp_path, monkeypatch, capsys):
    pytest.importorskip("ray", reason=MISSING)
    begun = time.monotonic()
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    assert cli.main([*train_flags(tmp_path / "out"), "--cluster", "auto"]) == 2
    monkeypatch.delenv("RAY_ADDRESS")
    (tmp_path / "noted").write_text("127.0.0.1:9")
    monkeypatch.setattr(ray_cluster, "ADDRESS_FILE", tmp_path / "noted")
    assert cli.main([*train_flags(tmp_path / "out"), "--cluster", "auto"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": [")[0] for line in lines] == ["ppo: no Ray cluster at 'auto'"] * 2
    assert time.monotonic() - begun < 20
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("mode", "told"), [("token", False), ("disabled", True)])
def test_a_cluster_that_asks_for_no_token_is_said_to_be_open(tmp_path, monkeypatch, mode, told):
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    assert ray_cluster.asks_for_no_token() == told


def test_no_cluster_and_no_ray_are_one_line_each(tmp_path, monkeypatch, capsys):
    def said(*flags):
        assert cli.main([*train_flags(tmp_path / "out"), "--cluster", *flags]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "--device cuda, not cuda:1" in said("auto", "--device", "cuda:1")
    monkeypatch.setitem(sys.modules, "ray", None)
    assert said("auto").endswith("pip install 'ppo-reproduction[cluster]'")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("address", ["127.0.0.1:9", "nowhere"])
def test_an_address_where_no_cluster_is_takes_one_line(tmp_path, capsys, address):
    pytest.importorskip("ray", reason=MISSING)
    assert cli.main([*train_flags(tmp_path / "out"), "--cluster", address]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ppo: no Ray cluster at '{address}'")
    assert not (tmp_path / "out").exists()


def test_a_node_with_other_versions_or_other_storage_is_refused(tmp_path):
    with pytest.raises(RuntimeError, match=r"torch \d.* and the others 1\.0: results would be mixed"):
        WorkerActor().start(str(tmp_path), "{}", {"torch": "1.0"})
    with pytest.raises(RuntimeError, match="storage that all nodes share"):
        WorkerActor().start(str(tmp_path / "elsewhere"), "{}", provenance.versions())
