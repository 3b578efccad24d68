"""Saving the Atari games and continuing them elsewhere: to the bit, in every game of the paper."""

import numpy as np
import pytest
from ale_py import Action

from ppo.envs import emulator
from tests.helpers.atari_oracle import BREAKOUT, SEEDS, InOneProcess
from tests.helpers.gymnasium_oracle import (
    assert_refused,
    assert_rows_go_on_elsewhere,
    assert_same_transition,
    random_actions,
    take_rows,
)

GAMES = """Alien Amidar Assault Asterix Asteroids Atlantis BankHeist BattleZone BeamRider Bowling Boxing Breakout
Centipede ChopperCommand CrazyClimber DemonAttack DoubleDunk Enduro FishingDerby Freeway Frostbite Gopher Gravitar
IceHockey Jamesbond Kangaroo Krull KungFuMaster MontezumaRevenge MsPacman NameThisGame Pitfall Pong PrivateEye Qbert
Riverraid RoadRunner Robotank Seaquest SpaceInvaders StarGunner Tennis TimePilot Tutankham UpNDown Venture VideoPinball
WizardOfWor Zaxxon""".split()  # noqa: SIM905


@pytest.mark.parametrize("game", GAMES)
def test_every_game_of_the_paper_continues_to_the_bit(game):
    env, restored = (InOneProcess(f"{game}NoFrameskip-v4", [seed]) for seed in (5, 0))
    env.reset()
    played, other = env.games[0], restored.games[0]
    actions = np.random.default_rng(1).integers(len(played.actions), size=(45, 1))
    for action in actions[:25]:
        env.step(action)
    other.restore(*played.save())
    restored.memory.set_observations(env.memory.observations())
    for action in actions[25:]:
        assert_same_transition(restored.step(action), env.step(action))
    np.testing.assert_array_equal(other.ale.getRAM(), played.ale.getRAM())
    assert other.ale.getEpisodeFrameNumber() == played.ale.getEpisodeFrameNumber() > 0
    assert played.actions[0] == Action.NOOP
    assert played.fires == (Action.FIRE in played.actions)


def test_a_restored_environment_continues_to_the_bit(atari):
    env, restored = atari(BREAKOUT, SEEDS[:2]), atari(BREAKOUT, [0, 0], processes=2)
    actions = random_actions(env, 130)
    env.reset()
    lost = next(step for step, action in enumerate(actions) if env.step(action).terminated[0])
    env.reset()
    for action in actions[:lost]:  # so that the first step from there on loses a life
        observations = env.step(action).observations
    state = env.get_state()
    np.testing.assert_array_equal(restored.set_state(state), observations)
    again = restored.get_state()
    for name, value in state.items():
        np.testing.assert_array_equal(again[name], value)
    games = 0
    for action in actions[lost:]:
        transition = env.step(action)
        games += int(transition.game_over.sum())
        assert_same_transition(restored.step(action), transition)
    assert games >= 1


def test_points_that_no_step_has_reported_are_part_of_the_state(atari):
    env = atari(BREAKOUT, SEEDS[:2])
    env.reset()
    env.set_state(env.get_state() | {"pending_rewards": np.array([5, -2])})
    np.testing.assert_array_equal(env.get_state()["pending_rewards"], [5, -2])
    transition = env.step(np.zeros(2, np.int64))
    np.testing.assert_array_equal(transition.raw_rewards, [5, -2])
    np.testing.assert_array_equal(transition.rewards, 0.0)
    np.testing.assert_array_equal(env.step(np.zeros(2, np.int64)).raw_rewards, 0.0)


def test_rows_can_be_cut_out_and_joined(atari):
    three, four = atari(BREAKOUT), atari(BREAKOUT, [0] * 4)
    actions = random_actions(three, 60)
    three.reset()
    assert_rows_go_on_elsewhere(three, four, actions, 30)


def test_ill_fitting_states_are_refused_and_change_nothing(atari):
    env = atari(BREAKOUT)
    env.reset()
    state = env.get_state()
    emulators = state["emulators"]
    ill_fitting = {
        r"'environment' must be a list of 3 strings": take_rows(state, [0, 2]),
        r"saved by PongNoFrameskip-v4": state | {"environment": ["PongNoFrameskip-v4"] * 3},
        r"'observations' is uint8 \(3, 84, 84, 3\), needed is uint8 \(3, 84, 84, 4\)": state
        | {"observations": state["observations"][..., :3]},
        r"'pending_rewards' is float64 \(3,\), needed is int64 \(3,\)": state | {"pending_rewards": np.zeros(3)},
        r"'emulators' of row 1 is damaged: its contents do not match its checksum": state
        | {"emulators": [emulators[0], emulators[1][:-8], emulators[2]]},
        r"'emulators' of row 2 is damaged: .*padding": state | {"emulators": [*emulators[:2], "abc"]},
        r"not the JSON of a PCG64's state": state | {"generators": ["{}"] * 3},
    }
    assert_refused(env, ill_fitting)
    for name, value in env.get_state().items():
        np.testing.assert_array_equal(value, state[name])

    with pytest.raises(ValueError, match="state for BreakoutNoFrameskip-v4: not the state of an emulator"):
        env.set_state(state | {"emulators": [emulator.pack(bytes(14_000))] * 3})
    with pytest.raises(ValueError, match="before reset"):  # for this one could only be found out by its worker
        env.step(np.zeros(3, np.int64))
    np.testing.assert_array_equal(env.set_state(state), state["observations"])
