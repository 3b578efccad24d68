"""The same seed gives the same bits; stop anywhere, lose nothing."""

from pathlib import Path
from typing import Any
from unittest import SkipTest

import numpy as np
import torch

from experiments.contract.stacks import (
    Kind,
    assert_same,
    finish,
    outcome,
    refusing,
    run_of,
    same,
    tensors_of,
    training_of,
)
from ppo import checkpoint
from ppo.checkpoint import CheckpointError
from ppo.training import Training


def check_same_seed_same_bits(kind: Kind, environment: str | None = None) -> None:
    """And another seed gives others."""

    def trained(seed: int) -> Training:
        runs = [run_of(kind, environment, own, 300) for own in (seed, seed + 1)]
        return finish(training_of(kind, *runs))

    first, again, other = trained(5), trained(5), trained(7)
    torch.manual_seed(0)  # the process's own generators must not matter
    np.random.seed(0)  # noqa: NPY002
    once_more = trained(5)
    for run in (0, 1):
        expected, others = outcome(first, run), outcome(other, run)
        assert_same(outcome(again, run), expected, "again:")
        assert_same(outcome(once_more, run), expected, "after the process's generators were seeded:")
        assert not np.array_equal(others["/parameters"], expected["/parameters"])
        assert not same({k: v for k, v in expected.items() if k.startswith("/collector")}, others)


def check_continues_from_a_checkpoint(kind: Kind, folder: Path, environment: str | None = None, **more: Any) -> None:
    """To the bit, at every iteration in turn, in a fresh algorithm; with schedules, so that they must be continued."""
    changes: dict[str, Any] = {"anneal_lr": True, "anneal_clip": True, "num_envs": 2, "num_steps": 48, **more}
    runs = [run_of(kind, environment, seed, 450, variant=seed, **changes) for seed in (1, 2)]
    whole = training_of(kind, *runs)
    paths: list[Path] = []
    while not whole.done:
        paths.append(folder / f"{len(paths)}.pt")
        whole.save(paths[-1], {"whose": "mine"})
        whole.iterate()
    assert len(paths) >= 3
    for path in paths:
        resumed = training_of(kind, *runs)
        resumed.load(path, {"whose": "mine"})
        finish(resumed)
        for run in (0, 1):
            assert_same(outcome(resumed, run), outcome(whole, run), f"from {path.name}, run {run}:")
        np.testing.assert_array_equal(resumed.scores(), whole.scores())


def check_state_holds_all_that_changes(kind: Kind, folder: Path) -> None:
    """Save, load in a fresh algorithm and save again: the two states are the same."""
    runs = [run_of(kind, seed=seed, variant=seed) for seed in (1, 2)]
    training, resumed = finish(training_of(kind, *runs), iterations=3), training_of(kind, *runs)
    training.save(folder / "c.pt", {})
    resumed.load(folder / "c.pt", {})
    assert_same(tensors_of(resumed.algorithm.state()), tensors_of(training.algorithm.state()), "loaded again:")


def check_checkpoint_of_other_runs_is_refused(kind: Kind, folder: Path) -> None:
    """And leaves the training as it was."""
    other = finish(training_of(kind, run_of(kind, seed=2), run_of(kind, seed=3)), iterations=2)
    other.save(folder / "c.pt", {"runs": "others"})
    training, untouched = training_of(kind, run_of(kind)), training_of(kind, run_of(kind))
    with refusing(CheckpointError, r"c\.pt"):
        training.load(folder / "c.pt", {"runs": "mine"})
    assert_same(outcome(finish(training), 0), outcome(finish(untouched), 0))


def check_checkpoint_that_does_not_fit_is_refused(kind: Kind, folder: Path, part: str) -> None:
    """And leaves the training as it was; or one begun afresh, after the file was set aside, would have the first half
    of another's state. ``part``: of the state, which another version's is in place of."""
    run = run_of(kind)
    finish(training_of(kind, run), iterations=2).save(folder / "c.pt", {})
    state = checkpoint.load(folder / "c.pt")
    if part not in state["algorithm"]:
        raise SkipTest(f"{kind.__name__} has no {part}")
    state["algorithm"][part] = {"of": "another version"}
    checkpoint.save(folder / "c.pt", state)
    training, untouched = training_of(kind, run), training_of(kind, run)
    with refusing(CheckpointError, r"c\.pt"):
        training.load(folder / "c.pt", {})
    assert_same(outcome(finish(training), 0), outcome(finish(untouched), 0))
