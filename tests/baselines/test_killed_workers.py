"""A worker that is killed anywhere loses nothing, whatever it trains."""

import signal
import time

import pytest

from baselines import ALGORITHMS
from experiments.contract.stacks import assert_same, finish, outcome, run_of, training_of
from experiments.store.stack_folder import StackFolder
from experiments.store.tables import episode_frame, read_episodes, write_table
from experiments.training.options import Options
from tests.helpers.processes import ForkedWorker


def wait_for_checkpoints(process, folder, count):
    """Until so many more checkpoints were written, or the worker ended."""
    seen, last = 0, None
    while seen <= count and process.poll() is None:
        try:
            now = folder.checkpoint.stat().st_mtime_ns
        except FileNotFoundError:
            now = None
        if now != last:
            seen, last = seen + 1, now
        time.sleep(0.0005)


@pytest.mark.parametrize("kind", [record.load() for record in ALGORITHMS.values()], ids=ALGORITHMS)
def test_killed_worker_ends_with_the_same_bytes(kind, tmp_path):
    """A worker killed again and again ends with what an undisturbed one ends with.

    SIGKILL, which nothing can catch, at moments that fall anywhere: in the environment, the update, a save.
    """
    runs = [run_of(kind, seed=seed, total_timesteps=96 * 16 + 17, variant=seed) for seed in (1, 2, 3)]
    folder = StackFolder(tmp_path / "stack")
    folder.create([run.record for run in runs])
    always, killed = Options(checkpoint_interval=0.0).to_text(), 0
    for checkpoints, delay in ((1, 0.004), (8, 0.011)):
        process = ForkedWorker(folder.path, always)
        wait_for_checkpoints(process, folder, checkpoints)
        time.sleep(delay)
        killed += process.kill() == -signal.SIGKILL
    before = folder.log.read_text()
    assert killed >= 1, "killed at work, not after it; on a busy machine the last one may come too late"
    code = ForkedWorker(folder.path, always).wait()
    output = folder.log.read_text()
    assert code == 0, output
    assert "continuing at step" in output.removeprefix(before)
    assert "set aside" not in output, "a kill damages no checkpoint"
    assert folder.finished

    whole = finish(training_of(kind, *runs))
    expected = tmp_path / "expected.parquet"
    write_table(expected, episode_frame([run.record for run in runs], whole.episodes()))
    assert folder.episodes.read_bytes() == expected.read_bytes()
    assert len(read_episodes(expected)) > 50
    resumed = training_of(kind, *runs)
    resumed.load(folder.checkpoint, {"runs": [run.record.to_json() for run in runs]})
    for run in range(len(runs)):
        assert_same(outcome(resumed, run), outcome(whole, run), f"run {run}:")
