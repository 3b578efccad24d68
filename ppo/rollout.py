"""One batch of experience, and how it is collected."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray
from torch import Tensor

from ppo.checkpoint import fill
from ppo.distributions import Distribution, take
from ppo.envs.base import Transition, VectorEnv
from ppo.normalizers import ObservationNormalizer, RewardNormalizer

Act = Callable[[NDArray[Any], NDArray[np.float32]], NDArray[Any]]
"""A function of normalised observations ``[runs, envs, ...]`` and noise that returns actions ``[runs, envs, ...]``."""


class Episode(NamedTuple):
    """A finished episode, in the environment's rewards: undiscounted, neither scaled nor clipped. On Atari a whole
    game, where learning's episodes end with each lost life."""

    run: int
    """Index of the run in its stack."""
    step: int
    """Environment steps the run had done when the episode ended."""
    episodic_return: float
    episodic_length: int


@dataclass(frozen=True)
class Experience:
    """``steps`` steps of every environment of every run, as arrays ``[steps, runs, envs, ...]``."""

    observations: Tensor
    """On the policy's device: float32 if normalised; raw uint8 for images that are not."""
    raw_observations: NDArray[np.float64] | None
    """Before normalisation; only if the filter is updated once per batch."""
    actions: Tensor
    rewards: NDArray[np.float64]
    """Scaled if the algorithm scales rewards."""
    terminated: NDArray[np.bool_]
    ended: NDArray[np.bool_]
    """Terminated or cut by the time limit, as learning sees it."""
    next_observations: Tensor | None
    """The observation after each action (an ended episode's last one), if requested."""
    last_observations: Tensor
    """``[runs, envs, ...]``: where the next action will be taken."""
    episodes: list[Episode]


@dataclass(frozen=True)
class Batch:
    """Experience ready for an update; ``batch`` = steps x envs, and every tensor is ``[runs, batch, ...]``.

    Data: nothing in it shares memory with parameters that an update changes, and ``update`` changes none of it.
    """

    observations: Tensor
    actions: Tensor
    log_probs: Tensor
    """log pi_old(a|s): ``[runs, batch]``"""
    values: Tensor
    """V_old(s): ``[runs, batch]``"""
    advantages: Tensor
    """``[runs, batch]``"""
    returns: Tensor
    """V^targ of equation 9: advantage + value, ``[runs, batch]``"""
    distribution: Distribution
    """pi_old(.|s), as data."""

    def ratio(self, distribution: Distribution) -> Tensor:
        """Return r = pi(a|s) / pi_old(a|s) of a new ``distribution`` at the same states: ``[runs, batch]``."""
        return (distribution.log_prob(self.actions) - self.log_probs).exp()

    def kl(self, distribution: Distribution) -> Tensor:
        """Return KL[pi_old, pi] to a new ``distribution`` at the same states: ``[runs, batch]``."""
        return self.distribution.kl(distribution)

    def select(self, indices: Tensor) -> "Batch":
        """Return the samples ``indices`` ``[runs, n]`` of each run."""
        return Batch(
            take(self.observations, indices),
            take(self.actions, indices),
            take(self.log_probs, indices),
            take(self.values, indices),
            take(self.advantages, indices),
            take(self.returns, indices),
            self.distribution.select(indices),
        )

    def split(self, size: int) -> "Iterator[Batch]":
        """Return the samples of every run in pieces of ``size``, in order; the last may be smaller."""
        tensors = (self.observations, self.actions, self.log_probs, self.values, self.advantages, self.returns)
        pieces = [tensor.split(size, dim=1) for tensor in tensors]  # type: ignore[no-untyped-call]
        return (Batch(*piece) for piece in zip(*pieces, self.distribution.split(size), strict=True))


def runs_first(values: Tensor) -> Tensor:
    """Turn ``[steps, runs, envs, ...]`` into ``[runs, steps x envs, ...]``."""
    steps, runs, envs = values.shape[:3]
    return values.transpose(0, 1).contiguous().view(runs, steps * envs, *values.shape[3:])


def steps_first(values: Tensor, steps: int) -> Tensor:
    """Turn ``[runs, steps x envs, ...]`` into ``[steps, runs, envs, ...]``."""
    return values.view(len(values), steps, -1, *values.shape[2:]).transpose(0, 1)


def sent(actions: NDArray[Any], space: Box | Discrete, clips: bool, rescales: bool) -> NDArray[Any]:
    """Return what the environment gets of ``actions`` ``[..., size]`` as drawn: ``rescales`` maps -1 ... 1 onto the
    bounds of its ``space``, ``clips`` keeps them within the bounds."""
    if not (clips or rescales):
        return actions
    assert isinstance(space, Box)
    if rescales:
        actions = (space.low + (actions + 1) / 2 * (space.high - space.low)).astype(space.dtype)
    return np.clip(actions, space.low, space.high) if clips else actions


class Collector:
    """Steps the environments of a stack with its policy; holds the state between iterations: the current observations,
    the normalisers and the half-finished episodes."""

    def __init__(
        self,
        env: VectorEnv,
        act: Act,
        runs: int,
        observation_normalizer: ObservationNormalizer | None,
        reward_normalizer: RewardNormalizer | None = None,
        device: torch.device | str = "cpu",
        clips_actions: bool = False,
        rescales_actions: bool = False,
    ) -> None:
        """``act``: actions ``[runs, envs, ...]`` at normalised observations ``[runs, envs, ...]``, given noise.
        ``clips_actions``, ``rescales_actions``: how the environment gets them (``sent``); collected is what was drawn.
        """
        self.env = env
        self.act = act
        self.runs = runs
        self.envs = env.rows // runs
        self.observation_normalizer = observation_normalizer
        self.reward_normalizer = reward_normalizer
        self.device = device
        self.clips_actions = clips_actions
        self.rescales_actions = rescales_actions
        # Images stay bytes, a quarter of the memory, until the network reads them.
        keeps_bytes = env.observation_dtype == np.uint8 and observation_normalizer is None
        self.observation_dtype = np.dtype(np.uint8 if keeps_bytes else np.float32)
        self.action_shape = tuple(env.action_space.shape or ())
        self.episodic_returns = np.zeros((runs, self.envs))
        self.episodic_lengths = np.zeros((runs, self.envs), dtype=np.int64)
        self.diverged = np.zeros(runs, dtype=np.bool_)
        """Runs whose actions, observations or rewards are no longer finite: their environments get zeros, their
        episodes are not recorded."""
        self.restarted: dict[int, str] = {}
        """Of each row of the environment that ``load_state`` began a new episode in: why."""
        self.observations = self._split(env.reset())
        if observation_normalizer and observation_normalizer.every_step:
            observation_normalizer.update(self.observations)

    @torch.no_grad()
    def collect(self, noise: NDArray[np.float32], steps_done: int, keep_next: bool) -> Experience:
        """Collect as many steps as ``noise`` ``[steps, runs, envs, size]`` has, sampling actions with it.

        ``steps_done``: by each run before. ``keep_next``: whether to keep ``next_observations`` (twice the memory).
        """
        steps = len(noise)
        shape = (steps, self.runs, self.envs)
        observations = np.empty((*shape, *self.env.observation_shape), dtype=self.observation_dtype)
        next_observations = np.empty_like(observations) if keep_next else None
        renews = self.observation_normalizer is not None and self.observation_normalizer.every_step
        keep_raw = self.observation_normalizer is not None and not renews
        raw_observations = np.empty(observations.shape) if keep_raw else None
        actions = np.empty((*shape, *self.action_shape), dtype=self.env.action_space.dtype)
        rewards = np.empty(shape)
        terminated = np.empty(shape, dtype=np.bool_)
        ended = np.empty(shape, dtype=np.bool_)
        episodes: list[Episode] = []
        for step in range(steps):
            inputs = self.normalised(self.observations)
            observations[step] = inputs
            if raw_observations is not None:
                raw_observations[step] = self.observations
            actions[step] = self.act(inputs, noise[step])
            if np.count_nonzero(self.diverged):  # a quarter of any()'s time
                actions[step, self.diverged] = 0
            given = sent(actions[step], self.env.action_space, self.clips_actions, self.rescales_actions)
            transition = self.env.step(given.reshape(self.env.rows, *self.action_shape))
            terminated[step] = transition.terminated.reshape(shape[1:])
            ended[step] = (transition.terminated | transition.truncated).reshape(shape[1:])
            self.observations = self._split(transition.observations)
            if next_observations is not None:
                next_observations[step] = self.normalised(self._split(transition.final_observations))
            rewards[step] = self.take_in(transition, ended[step])
            self._record(transition.game_over, steps_done + (step + 1) * self.envs, episodes)
        return Experience(
            self._to_device(observations),
            raw_observations,
            self._to_device(actions),
            rewards,
            terminated,
            ended,
            None if next_observations is None else self._to_device(next_observations),
            self._to_device(self.normalised(self.observations)),
            episodes,
        )

    def renew_filter(self, raw_observations: NDArray[np.float64]) -> Tensor:
        """Update the statistics with a batch's observations ``[steps, runs, envs, ...]``; return these on the device,
        normalised with the new statistics."""
        assert self.observation_normalizer is not None
        steps, runs, envs = raw_observations.shape[:3]
        of_runs = np.moveaxis(raw_observations, 0, 1).reshape(runs, steps * envs, *self.env.observation_shape)
        self.observation_normalizer.update(of_runs)
        normalised = self.observation_normalizer(of_runs).reshape(runs, steps, envs, *self.env.observation_shape)
        return self._to_device(np.ascontiguousarray(np.moveaxis(normalised, 1, 0)))

    def take_in(self, transition: Transition, ended: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Update the statistics and the unfinished episodes with a step; return the rewards ``[runs, envs]`` as
        learning sees them. ``ended``: ``[runs, envs]``."""
        rewards = transition.rewards.reshape(self.runs, self.envs)
        self.notice_divergence(rewards)
        self.episodic_returns += transition.raw_rewards.reshape(self.runs, self.envs)
        self.episodic_lengths += 1
        if self.observation_normalizer and self.observation_normalizer.every_step:
            self.observation_normalizer.update(self.observations)
        return self.reward_normalizer(rewards, ended) if self.reward_normalizer else rewards

    def notice_divergence(self, rewards: NDArray[np.float64]) -> None:
        """Record the runs whose observations, or ``rewards`` ``[runs, envs]``, are not finite."""
        observations = self.observations.reshape(self.runs, -1)
        floats = observations.dtype.kind == "f"
        if not math.isfinite(rewards.sum() + (observations.sum() if floats else 0.0)):  # one sum, most of the time
            self.diverged |= ~np.isfinite(rewards).all(axis=1)
            self.diverged |= ~np.isfinite(observations).all(axis=1)

    def _split(self, rows: NDArray[Any]) -> NDArray[Any]:
        return rows.reshape(self.runs, self.envs, *self.env.observation_shape)

    def normalised(self, observations: NDArray[Any]) -> NDArray[Any]:
        """Return ``observations`` ``[runs, envs, ...]`` as the network sees them."""
        if self.observation_normalizer:
            return self.observation_normalizer(observations)
        return observations.astype(self.observation_dtype, copy=False)

    def _to_device(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values).to(self.device)

    def _record(self, game_over: NDArray[np.bool_], step: int, episodes: list[Episode]) -> None:
        if np.count_nonzero(game_over):
            ended = game_over.reshape(self.runs, self.envs)
            for run, env in np.argwhere(ended).tolist():
                if not self.diverged[run]:
                    length = int(self.episodic_lengths[run, env])
                    episodes.append(Episode(run, step, float(self.episodic_returns[run, env]), length))
            self.episodic_returns[ended] = 0.0
            self.episodic_lengths[ended] = 0

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds: everything that a later step depends on."""
        observation, reward = self.observation_normalizer, self.reward_normalizer
        return {
            "env": self.env.get_state(),
            "episodic_returns": self.episodic_returns,
            "episodic_lengths": self.episodic_lengths,
            "diverged": self.diverged,
            "observation_normalizer": observation.statistics.state() if observation else None,
            "reward_normalizer": reward.state() if reward else None,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from ``state``. Where the environments cannot be put back, new episodes begin in their rows."""
        try:
            self.observations = self._split(self.env.set_state(state["env"]))
            self.restarted = dict(self.env.restarted)
        except ValueError as error:  # another version of its engine, say
            self.observations = self._split(self.env.reset())
            self.restarted = dict.fromkeys(range(self.env.rows), str(error))
        fill(self.episodic_returns, state["episodic_returns"])
        fill(self.episodic_lengths, state["episodic_lengths"])
        fill(self.diverged, state["diverged"])
        if self.observation_normalizer:
            self.observation_normalizer.statistics.load_state(state["observation_normalizer"])
        if self.reward_normalizer:
            self.reward_normalizer.load_state(state["reward_normalizer"])
        under_way = [self.episodic_returns, self.episodic_lengths]
        if self.reward_normalizer and self.reward_normalizer.reset:
            under_way.append(self.reward_normalizer.returns)
        for values in under_way:
            values.reshape(-1)[list(self.restarted)] = 0
