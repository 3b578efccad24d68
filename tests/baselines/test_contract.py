"""What every algorithm promises, held on all that are listed in ``baselines.ALGORITHMS``: adding one adds its tests.

A run does not know its neighbours; a batch is data; a run that diverges does not affect the others; the same seed gives
the same bits; stop anywhere, lose nothing; the budget is exact. All on the CPU and to the bit. The checks are plain
functions of an algorithm's class in ``experiments/contract/``; test_broken.py runs them on baselines that are wrong on
purpose.
"""

import pytest

from baselines import ALGORITHMS
from experiments.contract import data, divergence, neighbours, outputs, resumption
from experiments.contract.stacks import DIFFERENT, ENVIRONMENTS, SEVERAL_ACTIONS, SIX_ACTIONS, name_of, run_of, unvaried
from ppo.on_policy import OnPolicy
from ppo.ppo import PPO
from tests.baselines.rules import ENVIRONMENT, RULES, SOONER
from tests.baselines.sound.early_stopping import EarlyStopping
from tests.baselines.sound.postponed import Postponed


def listed(predicate=lambda kind: True):
    """Parametrises a test with the algorithms of the list that are so."""
    kinds = {name: kind for name, record in ALGORITHMS.items() if predicate(kind := record.load())}
    return pytest.mark.parametrize("kind", kinds.values(), ids=kinds)


every_algorithm = listed()
every_environment = pytest.mark.parametrize("environment", ENVIRONMENTS)


# --- A run does not know its neighbours ------------------------------------------------------------------------------


@pytest.mark.parametrize("num_envs", [1, 2])
@every_environment
@every_algorithm
def test_a_run_is_the_same_alone_and_in_any_stack(kind, environment, num_envs):
    neighbours.check_alone_and_in_any_stack(kind, environment, num_envs)


@every_algorithm
def test_a_run_is_the_same_alone_and_in_a_stack_at_full_size(kind):
    neighbours.check_full_size(kind)


@every_algorithm
def test_same_alone_and_in_a_stack_while_every_rule_fires(kind):
    """A run with its own settings is the same alone and in a stack, while every rule fires."""
    name = name_of(kind)
    where = ENVIRONMENT.get(name, SIX_ACTIONS)
    neighbours.check_own_settings(kind, RULES.get(name, {}), where, **SOONER.get(name, {}))


def test_every_rule_is_of_a_listed_algorithm():
    assert {*RULES, *SOONER, *ENVIRONMENT} <= set(ALGORITHMS)


@pytest.mark.parametrize("kind", [EarlyStopping, Postponed])
def test_sound_baselines_pass(kind):
    """A sound baseline from elsewhere is the same alone and in any stack.

    One whose runs stop at different minibatches, and one whose settings are declared under postponed annotations.
    """
    neighbours.check_alone_and_in_any_stack(kind)


def test_early_stop_is_the_same_alone():
    """A run that stops early is the same alone and beside one that goes on.

    Each batch is 4 epochs of 8 minibatches.
    """
    stops = neighbours.Rule({"kl_limit": 1e-3}, "charts/minibatches", lambda taken: (taken > 0) & (taken < 32))
    goes_on = neighbours.Rule({"kl_limit": 1e3}, "charts/minibatches", lambda taken: taken == 32)
    neighbours.check_own_settings(EarlyStopping, {"stops early": stops, "goes on": goes_on})


def test_schedules_are_the_same_alone():
    """A run with Table 4's schedules is the same alone and in any stack.

    The log-std annealed, and in most runs the step size adapted to the KL.
    """
    neighbours.check_alone_and_in_any_stack(PPO, SEVERAL_ACTIONS, anneal_log_std=True)


def test_settings_that_only_one_run_could_have_would_be_noticed():
    """Of the runs that the test of stacks compares; here with a setting that is held at one value."""
    runs = [run_of(PPO, variant=variant, vf_coef=0.5) for variant in range(len(DIFFERENT))]
    assert unvaried(runs) == ["vf_coef"]


# --- A batch is data -------------------------------------------------------------------------------------------------


@every_environment
@listed(lambda kind: hasattr(kind, "update"))
def test_an_update_leaves_its_batch_as_it_was(kind, environment):
    data.check_update_leaves_its_batch(kind, environment)


@listed(lambda kind: issubclass(kind, OnPolicy))
def test_minibatches_are_new_at_every_call(kind):
    data.check_minibatches_are_new_at_every_call(kind)


# --- A run that diverges does not affect the others ------------------------------------------------------------------


@every_environment
@every_algorithm
def test_diverged_run_leaves_the_others_alone(kind, environment):
    """A run that diverges leaves the others as they are, and is recorded."""
    divergence.check_divergence_stays_alone(kind, environment)


@every_algorithm
def test_run_that_blows_up_leaves_the_others_alone(kind):
    """A run that blows up by itself leaves the others as they are too."""
    divergence.check_blowing_up_stays_alone(kind)


@every_algorithm
def test_divergence_is_remembered_over_a_stop(kind, tmp_path):
    divergence.check_divergence_is_remembered(kind, tmp_path)


# --- Same seed, same bits; stop anywhere, lose nothing ---------------------------------------------------------------


@every_environment
@every_algorithm
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(kind, environment):
    resumption.check_same_seed_same_bits(kind, environment)


@every_environment
@every_algorithm
def test_a_training_loaded_from_a_checkpoint_continues_to_the_bit(kind, environment, tmp_path):
    resumption.check_continues_from_a_checkpoint(kind, tmp_path, environment)


def test_a_training_with_table_4s_schedules_continues_to_the_bit(tmp_path):
    schedules = {"anneal_log_std": True, "lr_kl_target": 1e-4}
    resumption.check_continues_from_a_checkpoint(PPO, tmp_path, SEVERAL_ACTIONS, **schedules)


@every_algorithm
def test_a_state_holds_all_that_changes(kind, tmp_path):
    resumption.check_state_holds_all_that_changes(kind, tmp_path)


@every_algorithm
def test_checkpoint_of_other_runs_is_refused(kind, tmp_path):
    """A checkpoint of other runs is refused, and leaves the training as it was."""
    resumption.check_checkpoint_of_other_runs_is_refused(kind, tmp_path)


@pytest.mark.parametrize("part", ["optimizer", "collector"])
@every_algorithm
def test_ill_fitting_checkpoint_is_refused(kind, part, tmp_path):
    """A checkpoint that does not fit is refused, and leaves the training as it was."""
    resumption.check_checkpoint_that_does_not_fit_is_refused(kind, tmp_path, part)


# --- The budget is exact ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("num_envs", "total_timesteps"), [(1, 1), (1, 95), (1, 192), (1, 203), (3, 300), (3, 600)])
@pytest.mark.filterwarnings("ignore:var.*degrees of freedom")
@every_algorithm
def test_the_budget_is_spent_exactly(kind, num_envs, total_timesteps):
    outputs.check_budget_is_spent_exactly(kind, num_envs, total_timesteps)


@every_algorithm
def test_a_run_stopped_early_is_a_prefix_of_the_full_one(kind):
    outputs.check_stopped_early_is_a_prefix(kind)


# --- What comes out --------------------------------------------------------------------------------------------------


@every_environment
@every_algorithm
def test_metrics_are_numbers_of_each_run_under_known_names(kind, environment):
    outputs.check_metrics(kind, environment)


@every_algorithm
def test_what_only_people_read_changes_nothing(kind):
    outputs.check_reports_change_nothing(kind)


def test_what_only_people_read_changes_nothing_of_an_adapted_penalty():
    outputs.check_reports_change_nothing(PPO, kl_coef=1.0, kl_target=0.001)


def test_metrics_do_not_change_an_adapted_step_size():
    """What only people read changes nothing of an adapted step size."""
    outputs.check_reports_change_nothing(PPO, lr_kl_target=0.001)


@every_algorithm
def test_recorded_episodes_are_the_environments_own(kind):
    outputs.check_episodes_are_the_environments_own(kind)


@every_algorithm
def test_runs_that_differ_in_more_than_a_stack_can_hold_are_refused(kind):
    outputs.check_what_no_stack_can_hold_is_refused(kind)


@pytest.mark.parametrize("environment", outputs.LEARNING)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_it_learns(name, environment):
    record = ALGORITHMS[name]
    outputs.check_it_learns(record.load(), environment, record.few_steps)
