"""How runs become stacks, and stacks parts."""

import dataclasses
import itertools

import pytest

from experiments.paper.profiles import ENVIRONMENTS, PROFILES, Seeds
from experiments.paper.protocols import select, table1
from experiments.paper.settings import MUJOCO, TABLE1
from experiments.planning.planner import MAX_STACK, Stack, busy, seconds, shard, stacks
from experiments.run import Run
from tests.helpers.documented import DOCUMENTED

PAPER = PROFILES["paper"]
THREE_SEEDS = dataclasses.replace(PAPER, table1_seeds=Seeds((1, 2, 3)), untrained_seeds=(1, 2, 3))
TABLE1_RUNS = table1(THREE_SEEDS).runs


def runs_of(count, environment="Hopper-v4", total_timesteps=4096, **changes):
    settings = dataclasses.replace(MUJOCO, **changes)
    return [Run(environment, "ppo", "clip-0.2", seed, total_timesteps, settings) for seed in range(count)]


def keys(planned):
    return sorted(run.key for stack in planned for run in stack.runs)


def test_table_1_is_one_stack_of_33_for_each_task():
    trained = [stack for stack in stacks(TABLE1_RUNS) if stack.runs[0].setting != "untrained"]
    assert sorted(stack.runs[0].environment for stack in trained) == sorted(ENVIRONMENTS)
    for stack in trained:
        assert len(stack.runs) == 33
        assert {run.environment for run in stack.runs} == {stack.runs[0].environment}
        assert {run.setting for run in stack.runs} == set(TABLE1)


def test_every_run_is_in_exactly_one_stack():
    assert keys(stacks(TABLE1_RUNS)) == sorted(run.key for run in TABLE1_RUNS)


def test_a_run_that_two_protocols_need_is_planned_once():
    both = [run for protocol in select(["table1", "figure3"], PAPER) for run in protocol.runs]
    assert keys(stacks(both)) == sorted({run.key for run in both})


def test_the_same_runs_give_the_same_stacks():
    assert stacks(TABLE1_RUNS) == stacks(TABLE1_RUNS)


def test_order_of_runs_changes_no_stack():
    """The order of the runs does not change what is trained together."""

    def together(planned):
        return {stack.name for stack in planned}

    assert together(stacks(TABLE1_RUNS)) == together(stacks(TABLE1_RUNS[::-1]))


def test_what_cannot_be_trained_in_lockstep_is_apart():
    alike = runs_of(2)
    others = [
        *runs_of(2, num_steps=1024),
        *runs_of(2, norm_obs=False),
        *runs_of(2, environment="Swimmer-v4"),
        *(dataclasses.replace(run, total_timesteps=8192) for run in alike),
    ]
    assert sorted(len(stack.runs) for stack in stacks([*alike, *others])) == [2, 2, 2, 2, 2]


def test_settings_that_are_floats_may_differ_within_a_stack():
    swept = [run for rate in (1e-4, 3e-4) for run in runs_of(2, learning_rate=rate)]
    assert len(stacks(swept)) == 1


@pytest.mark.parametrize("count", [MAX_STACK, MAX_STACK + 1, 3 * MAX_STACK])
def test_no_stack_is_larger_than_the_largest(count):
    planned = stacks(runs_of(count))
    assert max(len(stack.runs) for stack in planned) <= MAX_STACK
    assert len(planned) == -(-count // MAX_STACK)
    assert len(set(keys(planned))) == count


@pytest.mark.parametrize("count", range(1, 9))
def test_parts_share_the_stacks_out_without_overlap(count):
    planned = stacks(TABLE1_RUNS, workers=count)
    parts = [shard(planned, index, count) for index in range(1, count + 1)]
    assert keys(itertools.chain(*parts)) == keys(planned)
    hours = [seconds(part, 1) for part in parts]
    assert max(hours) < 1.15 * sum(hours) / count


@pytest.mark.parametrize(("runs", "workers", "sizes"), [(4, 1, [4]), (4, 2, [2, 2]), (5, 3, [1, 2, 2]), (2, 8, [1, 1])])
def test_stacks_are_split_where_there_are_fewer_than_workers(runs, workers, sizes):
    planned = stacks(runs_of(runs), workers)
    assert sorted(len(stack.runs) for stack in planned) == sizes
    assert len(set(keys(planned))) == runs


def test_one_worker_s_stacks_are_never_split():
    assert {len(stack.runs) for stack in stacks(TABLE1_RUNS)} == {33, 3}


@pytest.mark.parametrize(
    ("protocol", "workers", "least"),
    [
        ("table1", 2, 0.95),
        ("figure3", 2, 0.95),
        ("all", 2, 0.95),
        ("table1", 16, 0.95),
        ("figure3", 16, 0.92),
        ("all", 16, 0.95),
    ],
)
def test_the_cores_are_busy_to_the_end(protocol, workers, least):
    runs = [run for one in select([protocol], PAPER) for run in one.runs]
    planned, whole = stacks(runs, workers), stacks(runs)
    assert keys(planned) == sorted({run.key for run in runs})
    assert busy(planned, workers) > least
    assert seconds(planned, workers) <= seconds(whole, workers)


def test_splitting_makes_up_for_what_it_costs():
    """Seven stacks of 33 leave the second of two cores idle at the end, and all but seven of 16."""
    whole = stacks(TABLE1_RUNS)
    assert busy(whole, 2) < 0.95
    for workers, factor in ((2, 1.05), (16, 2.5)):
        planned = stacks(TABLE1_RUNS, workers)
        assert sum(stack.seconds for stack in planned) > sum(stack.seconds for stack in whole)  # each costs more
        assert seconds(whole, workers) > factor * seconds(planned, workers)


@pytest.mark.parametrize("workers", [2, 3, 5])
def test_no_other_way_of_splitting_small_cases_is_much_shorter(workers):
    """Against every number of even parts of each of three groups."""
    groups = [
        runs_of(6, "Walker2d-v4", total_timesteps=10**6),
        runs_of(4, total_timesteps=10**6),
        runs_of(5, "Swimmer-v4", total_timesteps=10**6),
    ]

    def parts(group, count):
        bounds = [len(group) * index // count for index in range(count + 1)]
        return [Stack(tuple(group[start:stop])) for start, stop in itertools.pairwise(bounds)]

    best = min(
        seconds([stack for group, count in zip(groups, counts, strict=True) for stack in parts(group, count)], workers)
        for counts in itertools.product(*(range(1, len(group) + 1) for group in groups))
    )
    assert seconds(stacks(itertools.chain(*groups), workers), workers) <= 1.05 * best


def test_what_was_begun_takes_its_core_until_it_is_done():
    begun = [Stack(tuple(runs_of(33, "Walker2d-v4", total_timesteps=10**6)))]
    runs = runs_of(12, total_timesteps=10**6)
    assert len(stacks(runs, 2)) == 2
    assert len(stacks(runs, 2, begun)) == 1  # the one core that is left gains nothing by a split


def test_a_split_does_not_depend_on_the_order_of_the_runs():
    names = [{stack.name for stack in stacks(runs, 16)} for runs in (TABLE1_RUNS, TABLE1_RUNS[::-1])]
    assert names[0] == names[1]


def test_no_runs_are_no_stacks():
    assert stacks([], workers=4) == []
    assert seconds([], 2) == 0


def test_the_longest_stack_comes_first():
    expected = [stack.seconds for stack in stacks(TABLE1_RUNS, workers=20)]
    assert expected == sorted(expected, reverse=True)


def test_a_stack_is_named_by_its_runs_alone():
    runs = runs_of(3)
    assert Stack(tuple(runs)).name == Stack(tuple(runs[::-1])).name
    assert Stack(tuple(runs)).name != Stack(tuple(runs[:2])).name
    assert "/" not in Stack((dataclasses.replace(runs[0], environment="ALE/Pong-v5"),)).name


def test_more_workers_never_take_longer():
    """More workers never take longer, and never less than the longest stack."""
    planned = stacks(TABLE1_RUNS)
    guesses = [seconds(planned, workers) for workers in range(1, 20)]
    assert guesses == sorted(guesses, reverse=True)
    assert guesses[0] == pytest.approx(sum(stack.seconds for stack in planned))
    assert guesses[-1] == max(stack.seconds for stack in planned)


def test_a_stack_takes_less_time_than_its_runs_one_by_one():
    together, alone = stacks(runs_of(33)), [Stack((run,)) for run in runs_of(33)]
    assert seconds(together, 1) < seconds(alone, 1) / 1.5


def test_the_paper_takes_hours_and_the_quick_profile_minutes():
    assert 1 < seconds(stacks(TABLE1_RUNS), 2) / 3600 < 12
    assert 1 < seconds(stacks(table1(PROFILES["quick"]).runs), 2) / 60 < 10


def test_the_benchmark_takes_minutes_and_the_hour_an_hour():
    def minutes(profile, *more):
        wanted = dataclasses.replace(profile, environments=(*profile.environments, *more))
        runs = [run for protocol in select(["table1", "figure3"], wanted) for run in protocol.runs]
        return seconds([stack.part(profile.fraction) for stack in stacks(runs)], 2) / 60

    hour = DOCUMENTED["hour"]
    assert minutes(DOCUMENTED["benchmark"]) < 8  # and two for the first compilation and the pictures
    assert 45 < minutes(hour) < 60
    assert min(minutes(hour, more) for more in set(ENVIRONMENTS) - set(hour.environments)) > 60
