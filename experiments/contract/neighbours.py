"""A run does not know its neighbours: alone, in any stack and in any order it gives the same bits."""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from experiments.contract.stacks import (
    DIFFERENT,
    SEVERAL_ACTIONS,
    SIX_ACTIONS,
    Kind,
    assert_same,
    finish,
    home,
    name_of,
    outcome,
    run_of,
    same,
    training_of,
    unvaried,
)
from experiments.run import Run


def check_alone_and_in_any_stack(kind: Kind, environment: str | None = None, num_envs: int = 1, **changes: Any) -> None:
    """Three iterations, the last one cut short by the budget; neighbours of other seeds and settings."""
    runs = [
        run_of(kind, environment, seed, 250 * num_envs, variant=seed % len(DIFFERENT), num_envs=num_envs, **changes)
        for seed in range(1, 10)
    ]
    assert not unvaried(runs), f"settings that are floats may differ between runs; these never did: {unvaried(runs)}"
    nine = finish(training_of(kind, *runs))
    expected = [outcome(nine, run) for run in range(9)]
    assert nine.algorithm.iteration >= 2
    assert not same(expected[0], expected[8]), "different runs differ, or the comparison would be empty"
    for members in ([0], [4], [8], [6, 1, 3], [8, 7, 6, 5, 4, 3, 2, 1, 0]):
        stack = finish(training_of(kind, *(runs[member] for member in members)))
        for place, member in enumerate(members):
            assert_same(outcome(stack, place), expected[member], f"run {member} in {members}:")


def check_full_size(kind: Kind) -> None:
    """With the paper's 2048 steps and minibatches of 64: kernels may choose otherwise for other shapes."""
    size = {
        "num_steps": 2048,
        "minibatch_size": 64,
        "update_epochs": 1,
        "replay_start": 0,
        "replay_capacity": 2048,
    }
    runs = [run_of(kind, home(kind, SEVERAL_ACTIONS), seed, 2048 + 200, variant=seed, **size) for seed in (1, 2, 3)]
    three = finish(training_of(kind, *runs))
    alone = finish(training_of(kind, runs[1]))
    assert_same(outcome(alone, 0), outcome(three, 1))


@dataclasses.dataclass(frozen=True)
class Rule:
    """What an algorithm does at times only, and how it is seen from outside that it did."""

    settings: dict[str, Any]
    """Of the run in which it must: thresholds are scaled so that a short training meets them."""
    metric: str = ""
    """Of that run, in every iteration. Without one the run must end elsewhere than one of its seed with the class's own
    settings: it could not, had the rule never fired."""
    fired: Callable[[Any], Any] = np.any
    """Whether the metric's values say so."""


def check_own_settings(
    kind: Kind, rules: Mapping[str, Rule] = MappingProxyType({}), environment: str = SIX_ACTIONS, **changes: Any
) -> None:
    """With the class's own settings but for ``changes``, and each rule in a run where it is seen to fire."""
    own = kind.Settings(**changes)
    changed = {what: rule.settings for what, rule in rules.items() if rule.settings}
    places = {what: place for place, what in enumerate(changed, start=2)}
    settings = [own, own, *(dataclasses.replace(own, **values) for values in changed.values())]
    steps = max(round(1.1 * own.num_steps), 1000 // own.num_envs)
    runs = [
        Run(home(kind, environment), name_of(kind), "own", 2 if place == 0 else 1, steps * own.num_envs, each)
        for place, each in enumerate(settings)
    ]
    stack = training_of(kind, *runs)
    measured: list[dict[str, Any]] = []
    while not stack.done:
        measured.append(stack.iterate())
    for what, rule in rules.items():
        place = places.get(what, 1)
        if rule.metric:
            values = np.array([metrics[rule.metric][place].item() for metrics in measured])
            assert rule.fired(values).any(), f"it {what}: {rule.metric} is {values}"
        else:
            ends = outcome(stack, place)["/parameters"], outcome(stack, 1)["/parameters"]
            assert not np.array_equal(*ends), f"it {what}: ends where it does without {rule.settings}"
    for place, run in enumerate(runs):
        if place != 1:  # its settings are those of run 0
            assert_same(outcome(finish(training_of(kind, run)), 0), outcome(stack, place), f"run {place}:")
