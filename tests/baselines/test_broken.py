"""The contract's checks can fail: each baseline that is wrong on purpose is caught by the check that it is about."""

import contextlib
from unittest import SkipTest

import pytest

from experiments.contract import data, divergence, neighbours, outputs, resumption
from tests.baselines.broken.annotations import Text
from tests.baselines.broken.data import AliasesOldPolicy, ChangesItsBatch, RepeatsItsOrder
from tests.baselines.broken.neighbours import MixesRuns, SharesStepCount, StopsForAll, Union
from tests.baselines.broken.outputs import AdaptsWhenWatched, Overruns, ReportsTheStack
from tests.baselines.broken.resumption import DrawsFromTheProcess, DropsItsAverage, ForgetsItsOptimizer
from tests.baselines.sound.early_stopping import EarlyStopping


@contextlib.contextmanager
def caught(reason):
    """What is done within fails for this reason; a check that is skipped has caught nothing."""
    try:
        with pytest.raises(AssertionError, match=reason):
            yield
    except SkipTest as skipped:
        pytest.fail(f"skipped: {skipped}")


@pytest.mark.parametrize("kind", [SharesStepCount, StopsForAll, MixesRuns])
def test_a_run_that_knows_its_neighbours_is_caught(kind):
    with caught(r"run \d in \["):
        neighbours.check_alone_and_in_any_stack(kind)


@pytest.mark.parametrize("kind", [Union, Text])
def test_settings_that_a_stack_cannot_tell_apart_are_caught(kind):
    with caught(r"these never did: \['extra_entropy'\]"):
        neighbours.check_alone_and_in_any_stack(kind)


def test_a_rule_that_does_not_fire_is_caught():
    never = {"clips ratios": neighbours.Rule({}, "losses/clipfrac", lambda fractions: fractions > 1)}
    with caught("it clips ratios"):
        neighbours.check_own_settings(EarlyStopping, never)


def test_a_run_whose_divergence_reaches_the_others_is_caught():
    with caught("run 0: "):
        divergence.check_divergence_stays_alone(MixesRuns)


def test_a_batch_that_is_changed_in_place_is_caught():
    with caught("advantages was changed by the update"):
        data.check_update_leaves_its_batch(ChangesItsBatch)


def test_an_old_policy_that_follows_the_new_one_is_caught():
    with caught("distribution/log_std shares memory"):
        data.check_update_leaves_its_batch(AliasesOldPolicy)


def test_minibatches_that_come_in_the_same_order_again_are_caught():
    with caught("the second call repeats"):
        data.check_minibatches_are_new_at_every_call(RepeatsItsOrder)


def test_random_numbers_that_are_not_the_seeds_are_caught():
    with caught("again: "):
        resumption.check_same_seed_same_bits(DrawsFromTheProcess)


def test_state_that_is_missing_from_the_checkpoint_is_caught(tmp_path):
    with caught(r"from 1\.pt, run 0: "):
        resumption.check_continues_from_a_checkpoint(ForgetsItsOptimizer, tmp_path)


def test_state_that_is_saved_and_not_loaded_is_caught(tmp_path):
    with caught("loaded again: /average"):
        resumption.check_state_holds_all_that_changes(DropsItsAverage, tmp_path)


def test_a_budget_that_is_overrun_is_caught():
    with caught("steps that it says it has done"):
        outputs.check_budget_is_spent_exactly(Overruns)


def test_metrics_that_change_the_training_are_caught():
    with caught("without reports: "):
        outputs.check_reports_change_nothing(AdaptsWhenWatched, kl_coef=1.0, kl_target=0.001)


def test_a_metric_of_the_whole_stack_is_caught():
    with caught("losses/entropy: one number for each run"):
        outputs.check_metrics(ReportsTheStack)
