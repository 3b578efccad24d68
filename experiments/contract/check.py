"""`ppo check`: every check of the contract on one algorithm, one after the other."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import SkipTest

from experiments.contract import data, divergence, neighbours, outputs, resumption
from experiments.contract.stacks import CONTINUOUS, DISCRETE, ENVIRONMENTS, Kind
from ppo.envs.answers import place_of
from ppo.on_policy import OnPolicy


@dataclass(frozen=True)
class Verdict:
    """What came out of one check."""

    promise: str
    passed: bool
    reason: str = ""
    """Why it failed, or why it does not apply."""


Check = Callable[[Kind, Path], None]


def checks_of(kind: Kind, few_steps: Mapping[str, Any]) -> dict[str, Check]:
    """Return the checks that apply to an algorithm, by the promise that each holds it to. Each gets an empty folder.

    ``few_steps``: settings with which it learns in 20,000 steps, where the defaults need more.
    """
    environments = [name for name in ENVIRONMENTS if kind.continuous or name == DISCRETE]
    checks: dict[str, Check] = {}
    for name in environments:
        checks |= _in_environment(kind, name, few_steps)
    checks |= {
        "a run is the same alone and in a stack at full size": lambda kind, _: neighbours.check_full_size(kind),
        "... with its own settings": lambda kind, _: neighbours.check_own_settings(kind),
        "a run that blows up leaves the others as they are": lambda kind, _: divergence.check_blowing_up_stays_alone(
            kind
        ),
        "a divergence is remembered over a stop": divergence.check_divergence_is_remembered,
        "a state holds all that changes": resumption.check_state_holds_all_that_changes,
        "a checkpoint of other runs is refused": resumption.check_checkpoint_of_other_runs_is_refused,
        "the budget is spent exactly": lambda kind, _: outputs.check_budget_is_spent_exactly(kind),
        "... by several environments": lambda kind, _: outputs.check_budget_is_spent_exactly(kind, 3, 300),
        "a run stopped early is a prefix of the full one": lambda kind, _: outputs.check_stopped_early_is_a_prefix(
            kind
        ),
        "metrics change nothing": lambda kind, _: outputs.check_reports_change_nothing(kind),
        "episodes are the environment's own": lambda kind, _: outputs.check_episodes_are_the_environments_own(kind),
        "what no stack can hold is refused": lambda kind, _: outputs.check_what_no_stack_can_hold_is_refused(kind),
    }
    if issubclass(kind, OnPolicy):
        new = data.check_minibatches_are_new_at_every_call
        checks["minibatches are new at every call"] = lambda kind, _: new(kind)
    return checks


def _in_environment(kind: Kind, name: str, few_steps: Mapping[str, Any]) -> dict[str, Check]:
    """Return those that are made in one environment."""
    checks: dict[str, Check] = {
        "a run is the same alone and in any stack": lambda kind, _: neighbours.check_alone_and_in_any_stack(kind, name),
        "a run that diverges leaves the others as they are": lambda kind, _: divergence.check_divergence_stays_alone(
            kind, name
        ),
        "the same seed gives the same bits": lambda kind, _: resumption.check_same_seed_same_bits(kind, name),
        "a stopped training continues to the bit": lambda kind, folder: resumption.check_continues_from_a_checkpoint(
            kind, folder, name
        ),
        "metrics are numbers of each run": lambda kind, _: outputs.check_metrics(kind, name),
    }
    if hasattr(kind, "update"):
        checks["an update leaves its batch as it was"] = lambda kind, _: data.check_update_leaves_its_batch(kind, name)
    if name in (CONTINUOUS, DISCRETE):
        checks["it learns in 20,000 steps"] = lambda kind, _: outputs.check_it_learns(kind, name, few_steps)
    return {f"{promise} ({name})": check for promise, check in checks.items()}


def verdicts(kind: Kind, few_steps: Mapping[str, Any]) -> Iterator[Verdict]:
    """Make every check of the contract on an algorithm; yields what comes out of each."""
    for promise, check in checks_of(kind, few_steps).items():
        with TemporaryDirectory() as folder:
            yield _verdict(promise, check, kind, Path(folder))


def _verdict(promise: str, check: Check, kind: Kind, folder: Path) -> Verdict:
    try:
        check(kind, folder)
    except SkipTest as skipped:
        return Verdict(promise, True, f"does not apply: {skipped}")
    except Exception as error:  # whatever the algorithm raises is its own fault
        text = " ".join(str(error).split())
        return Verdict(promise, False, f"{type(error).__name__}: {text[:300]}" if text else place_of(error))
    return Verdict(promise, True)
