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
from experiments.store.stack_folder import StackFolder
from experiments.training import ray_cluster
from experiments.training.executor import BUSY, FAILED, FINISHED
from experiments.training.launch import WorkerActor
from experiments.training.options import Options
from experiments.training.ray_cluster import RayExecutor
from tests.helpers.commands import begin, end, same_episodes, stacks_of, train, train_flags, wait_for, working_on

MISSING = "Ray is not installed: pip install -e '.[cluster]'"
LOST_SOON = {"health_check_period_ms": 300, "health_check_initial_delay_ms": 300}
"""Ray asks every three seconds whether a node lives, and takes it for lost after five without an answer."""
LONG = ("--total-timesteps", "10240", "--checkpoint-interval", "0")


@pytest.fixture(scope="module")
def cluster():
    """A head without cores, and two nodes of one core each."""
    pytest.importorskip("ray", reason=MISSING)
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
        nodes = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "include_dashboard": False, "_system_config": LOST_SOON},
        )
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
    """A lost node's stack continues elsewhere."""
    out = tmp_path / "out"
    flags = [*train_flags(out, *LONG, workers=1), "--cluster", cluster.address]
    process = begin(flags)
    stack = wait_for(lambda: next(filter(working_on, stacks_of(out)), None))
    pid = working_on(stack)
    cluster.remove_node(node_of(cluster, pid), allow_graceful=False)
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


class FakeRay:
    """Of Ray what a job uses: its workers' answers, the next one whenever one is asked for; an error is raised."""

    class exceptions:
        class RayActorError(Exception):
            actor_init_failed = False

        class RayTaskError(Exception):
            pass

    def __init__(self, answers):
        self.answers = iter(answers)

    def wait(self, answers, timeout):
        return answers, []

    def get(self, answer):
        now = next(self.answers)
        if isinstance(now, Exception):
            raise now
        return now

    def kill(self, actor):
        pass


def job_of(answers, tmp_path):
    """A job whose workers answer so."""
    methods = {name: SimpleNamespace(remote=lambda *_: object()) for name in ("start", "poll", "terminate")}
    executor = SimpleNamespace(
        ray=FakeRay(answers), actors=SimpleNamespace(remote=lambda: SimpleNamespace(**methods)), options=Options()
    )
    job = ray_cluster.RayJob(SimpleNamespace(runs=()), StackFolder(tmp_path / "stacks" / "one"), executor)
    job._launch()
    return job


def test_a_stack_that_is_begun_nowhere_moves_a_few_times_and_ends(tmp_path):
    job = job_of([], tmp_path)
    assert [job._move() for _ in range(ray_cluster.MOST_MOVES + 1)] == [None] * ray_cluster.MOST_MOVES + [FAILED]
    assert "Ray's logs" in job.refused


def test_a_moved_stack_waits_for_what_still_holds_it(tmp_path, monkeypatch):
    """Where the network is split, the worker on the lost node lives and has the stack locked."""
    monkeypatch.setattr(ray_cluster, "BUSY_SECONDS", 0.0)
    lost = FakeRay.exceptions.RayActorError()
    job = job_of([None, lost, None, BUSY, None, BUSY, None, FINISHED], tmp_path)
    polls = [job.poll() for _ in range(10)]
    assert polls == [None] * 9 + [FINISHED]


def test_a_stack_that_another_command_holds_is_busy_at_once(tmp_path):
    job = job_of([None, BUSY], tmp_path)
    assert [job.poll(), job.poll()] == [None, BUSY]


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
