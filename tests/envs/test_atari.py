"""The Atari games against Stable-Baselines3's wrappers around Gymnasium's emulator: every number of every step."""

import copy
import inspect
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from ppo.envs import emulator, make
from ppo.envs.atari import ATARI_ROMS, AtariVectorEnv, find_rom
from ppo.rollout import Collector
from tests.helpers.atari_oracle import BREAKOUT, SEEDS, AtariOracle, InOneProcess, compare
from tests.helpers.gymnasium_oracle import assert_same_transition, random_actions


@pytest.mark.parametrize(
    ("game", "seeds", "steps", "games"),
    [
        ("Breakout", SEEDS[:2], 165, 2),  # FIRE begins each of five lives
        ("Qbert", [7], 300, 1),  # stays at 0 lives for some frames before the game is over
        ("MsPacman", SEEDS[1:2], 180, 0),  # lives without FIRE
        ("Pong", SEEDS[:1], 965, 1),  # no lives; points of both signs
        ("Bowling", SEEDS[:1], 215, 0),  # no lives; 0 of them at the start end nothing
    ],
)
def test_every_number_is_the_oracles_over_whole_games(game, seeds, steps, games):
    env_id = f"{game}NoFrameskip-v4"
    env, oracle = InOneProcess(env_id, seeds), AtariOracle(env_id, seeds)
    actions = np.random.default_rng(0).integers(oracle.stacked.action_space.n, size=(steps, len(seeds)))
    counts = compare(env, oracle, actions)
    assert counts["games"] >= games
    assert counts["points"] > 0
    assert (counts["ended"] > counts["games"]) == (game not in ("Pong", "Bowling"))
    assert (counts["clipped"] > 0) == (game not in ("Pong", "Breakout"))  # which pay by ones


@pytest.mark.parametrize("after", [-10, 0, 2, 6, 10])
def test_the_time_limit_cuts_a_game_wherever_it_falls(monkeypatch, after):
    """In play, as the first life is lost, and in each of the three steps that lead to the second."""
    actions = np.random.default_rng(0).integers(4, size=(40, 1))
    env = InOneProcess(BREAKOUT, SEEDS[:1])
    env.reset()
    while not env.step(actions[env.steps]).terminated[0]:
        pass
    frames = env.games[0].ale.getEpisodeFrameNumber() - 3 * 4
    monkeypatch.setattr(emulator, "TIME_LIMIT", frames + after)
    counts = compare(env, AtariOracle(BREAKOUT, SEEDS[:1], frames + after), actions[: env.steps + 3])
    assert counts["games"] == 1
    assert counts["truncated"] == (after < 0)


def test_the_time_limit_is_that_of_2017():
    env = InOneProcess("PongNoFrameskip-v4", [0])
    env.reset()
    assert env.games[0].ale.getInt("max_num_frames_per_episode") == 400_000
    assert env.games[0].ale.getFloat("repeat_action_probability") == 0.0


class Scripted:
    """An emulator with 3 points per frame in the game that runs and 7 in the later ones, lives as told, and the n-th
    game over at the frame ``ends[n]``."""

    def __init__(self, ale, ends, lives):
        self.ale, self.ends, self.lives, self.games, self.frames = ale, ends, lambda: lives, 0, 0

    def __getattr__(self, name):
        return getattr(self.ale, name)

    def reset_game(self):
        self.games, self.frames = self.games + 1, 0
        self.ale.reset_game()

    def act(self, action):
        self.frames += 1
        self.ale.act(action)
        return 7 if self.games else 3

    def game_over(self, with_truncation=True):
        return self.frames == self.ends.get(self.games)


@pytest.mark.parametrize("false_start", ["none", "no-op", "FIRE"])
def test_what_a_new_game_pays_before_the_first_step_is_handed_on(false_start):
    """A game that is over before its first step is none: neither its points nor its end are told."""
    game: Any = InOneProcess(BREAKOUT, [0]).games[0]
    game.start()
    noops, more = copy.deepcopy(game.generator).integers(1, 31, size=2).tolist()
    ends = {"none": {0: 1}, "no-op": {0: 1, 1: 1}, "FIRE": {0: 1, 1: noops + 1}}[false_start]
    paid = {"none": noops + 8, "no-op": noops - 1 + 8, "FIRE": more + 4}[false_start]  # frames of the new game
    game.ale = Scripted(game.ale, ends, lives=5)
    assert game.step(0) == (1.0, 3.0, True, False, True)
    assert game.step(0) == (1.0, 7.0 * (paid + 4), False, False, False)
    assert game.step(0) == (1.0, 7.0 * 4, False, False, False)


def test_a_game_without_lives_left_goes_on_until_it_is_over():
    """Qbert does for some frames: it would be left there if the last life were lost like the others."""
    game: Any = InOneProcess(BREAKOUT, [0]).games[0]
    game.start()
    game.ale = Scripted(game.ale, {0: 6}, lives=0)
    assert game.lives == 5
    assert game.step(0) == (1.0, 12.0, False, False, False)
    assert game.step(0) == (1.0, 6.0, True, False, True)


def test_misuse_is_said_in_one_line(atari):
    env = atari(BREAKOUT)
    for call in (lambda: env.step(np.zeros(3, np.int64)), env.get_state):
        with pytest.raises(ValueError, match="before reset"):
            call()
    env.reset()
    with pytest.raises(ValueError, match=r"BreakoutNoFrameskip-v4: actions have shape \(2,\), needed is \(3,\)"):
        env.step(np.zeros(2, np.int64))
    for wrong in (-1, 4):
        with pytest.raises(ValueError, match="BreakoutNoFrameskip-v4: actions must lie between 0 and 3"):
            env.step(np.full(3, wrong))
    env.close()
    env.close()
    for call in (env.reset, lambda: env.step(np.zeros(3, np.int64)), env.get_state):
        with pytest.raises(ValueError, match="the environment is closed"):
            call()
    with pytest.raises(ValueError, match="'TetrisNoFrameskip-v4' is not an Atari game"):
        AtariVectorEnv("TetrisNoFrameskip-v4", [0])
    with pytest.raises(ValueError, match="processes = 0; at least 1 is needed"):
        make(BREAKOUT, [0], processes=0)


def test_returned_arrays_stay_as_they_were_and_are_the_callers(atari):
    env, untouched = atari(BREAKOUT, SEEDS[:1]), atari(BREAKOUT, SEEDS[:1])
    untouched.reset()
    results: list[Any] = [(env.reset(),)]
    kept = [tuple(array.copy() for array in results[0])]
    for action in random_actions(env, 30):
        results.append(env.step(action))
        kept.append(tuple(array.copy() for array in results[-1]))
    for result, copies in zip(results, kept, strict=True):
        for one, other in zip(result, copies, strict=True):
            np.testing.assert_array_equal(one, other)
    results[-1].observations[...] = 0
    for action in random_actions(env, 30):
        last = untouched.step(action)
    assert not np.array_equal(last.observations, results[-1].observations)
    assert_same_transition(env.step(action), untouched.step(action))


def test_the_collector_records_whole_games_while_learning_sees_lives(atari):
    env, oracle = atari(BREAKOUT, SEEDS[:2]), AtariOracle(BREAKOUT, SEEDS[:2])
    actions = random_actions(env, 165)
    chosen = iter(actions)
    collector = Collector(env, lambda observations, noise: next(chosen)[None], 1, None)
    experience = collector.collect(np.zeros((len(actions), 1, 2, 1), np.float32), 0, keep_next=True)
    observations = oracle.reset()
    expected, lengths = [], np.zeros(2, np.int64)
    for step, action in enumerate(actions):
        np.testing.assert_array_equal(experience.observations[step, 0].numpy(), observations)
        transition = oracle.step(action)
        observations, finals = transition.observations, experience.next_observations[step, 0].numpy()
        np.testing.assert_array_equal(finals[..., :-1], transition.final_observations[..., :-1])
        np.testing.assert_array_equal(experience.rewards[step, 0], transition.rewards)
        np.testing.assert_array_equal(experience.terminated[step, 0], transition.terminated)
        lengths += 1
        for row in np.flatnonzero(transition.game_over).tolist():
            expected.append((0, 2 * (step + 1), oracle.games(row)[-2], lengths[row]))
            lengths[row] = 0
    assert experience.episodes == expected
    assert experience.terminated.sum() > len(expected) >= 2
    assert sum(episode.episodic_return for episode in experience.episodes) > 0
    for pictures in (experience.observations, experience.next_observations, experience.last_observations):
        assert pictures.dtype == torch.uint8


@pytest.mark.parametrize("game", ["Breakout", "Freeway"])
def test_spaces_are_gymnasiums(atari, game):
    env, reference = atari(f"{game}NoFrameskip-v4", [0]), gymnasium.make(f"{game}NoFrameskip-v4")
    assert env.action_space == reference.action_space
    assert (env.observation_shape, env.observation_dtype) == ((84, 84, 4), np.uint8)


def test_every_noframeskip_v4_id_of_ale_py_is_known():
    registered = {name for name in gymnasium.registry if name.endswith("NoFrameskip-v4")}
    assert set(ATARI_ROMS) == registered
    assert len(registered) == 62


def test_the_yardstick_of_throughput_plays():
    play = emulator.bare_loop(find_rom(BREAKOUT), 2)
    play(30)
    play(20)
    assert [ale.getFrameNumber() for ale in inspect.getclosurevars(play).nonlocals["ales"]] == [4 * 50] * 2
