"""ACER: an actor-critic that learns from its past as well as from its present [Wang et al. 2016], discrete actions."""

import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray
from torch import Tensor

from baselines.a2c_trust_region import trust_region_loss
from ppo.advantages import retrace
from ppo.algorithm import Algorithm, Metrics, Settings, SettingsError, require
from ppo.distributions import Categorical
from ppo.on_policy import runs_first
from ppo.replay import ReplayMemory, Segment, available_memory, bytes_needed
from ppo.rollout import Episode
from ppo.schedules import annealed
from ppo.seeding import generator
from ppo.stacked.optimizers import RMSProp


@dataclass(frozen=True)
class ACERSettings(Settings):
    """ACER's settings; the defaults are those of openai/baselines' acer of 2017-11, which are the paper's where nothing
    else is said, on a network for vectors."""

    num_envs: int = 16
    """environments that each run steps in parallel (the paper's actor-learners)"""
    num_steps: int = 20
    """steps of each environment between two updates from the present, and in a segment of the memory"""
    gamma: float = 0.99
    """discount"""
    learning_rate: float = 7e-4
    """step size of RMSProp"""
    anneal_lr: bool = False
    """whether the learning rate falls linearly to 0 over total_timesteps"""
    rms_decay: float = 0.99
    """decay of RMSProp's mean square"""
    rms_eps: float = 1e-5
    """epsilon of RMSProp, under the root"""
    max_grad_norm: float = 10.0
    """norm to which each run's gradient is clipped; inf for no clipping"""
    q_coef: float = 0.5
    """the coefficient of the critic's loss, (Q^ret - Q)^2 / 2"""
    ent_coef: float = 0.01
    """the entropy bonus's coefficient (the paper's: 0.001)"""
    replay_ratio: float = 4.0
    """updates from the memory for each one from the present, on average: their number is Poisson distributed"""
    replay_capacity: int = 50_000
    """steps of each environment that the memory holds"""
    replay_start: int = 10_000
    """steps of each environment before the first update from the memory"""
    importance_clip: float = 10.0
    """c, at which importance weights are truncated; what that takes away is added from the critic"""
    trust_region_delta: float = 1.0
    """delta, how much a step in a state may move the policy away from the average one, to first order in KL; inf for no
    trust region"""
    ema_decay: float = 0.99
    """alpha, the decay of the exponential moving average of the policy's parameters"""
    obs_filters = ("step",)

    def check(self) -> None:
        super().check()
        require(self, "gamma", 0 <= self.gamma <= 1, "between 0 and 1")
        for name in ("learning_rate", "q_coef", "ent_coef"):
            require(self, name, 0 <= getattr(self, name) < math.inf, "at least 0 and finite")
        require(self, "replay_ratio", 0 <= self.replay_ratio <= 1000, "between 0 and 1000")
        for name in ("rms_decay", "ema_decay"):
            require(self, name, 0 <= getattr(self, name) < 1, "at least 0 and less than 1")
        require(self, "rms_eps", 0 < self.rms_eps < math.inf, "greater than 0 and finite")
        for name in ("max_grad_norm", "trust_region_delta"):
            require(self, name, getattr(self, name) > 0, "greater than 0")
        require(self, "importance_clip", 0 < self.importance_clip < math.inf, "greater than 0 and finite")
        require(self, "replay_capacity", self.replay_capacity >= self.num_steps, "at least num_steps")
        require(
            self, "replay_start", 0 <= self.replay_start <= self.replay_capacity, "at least 0, at most replay_capacity"
        )


class ACER(Algorithm):
    """Collect ``num_steps`` steps from every environment, update with them, then with segments of the past (the paper's
    Algorithms 1 and 2)."""

    Settings = ACERSettings
    continuous = False

    @classmethod
    def critic_outputs(cls, action_space: Box | Discrete) -> int:
        assert isinstance(action_space, Discrete)
        return int(action_space.n)

    def setup(self) -> None:
        if not isinstance(self.env.action_space, Discrete):
            raise SettingsError("acer is for discrete actions: this environment's are continuous")
        self.memory = self.make_memory()
        self.policy = self.make_policy()
        self.average = self.policy.parameters.detach().clone()
        self.collector = self.make_collector(self.policy.act)
        self.gamma, self.importance_clip, self.trust_region_delta = map(
            self.per_run, ("gamma", "importance_clip", "trust_region_delta")
        )
        self.q_coef, self.ent_coef, self.ema_decay = map(self.per_run, ("q_coef", "ent_coef", "ema_decay"))
        self.learning_rate = self.per_run("learning_rate")
        self.optimizer = RMSProp(
            self.policy.parameters,
            self.learning_rate,
            self.per_run("max_grad_norm"),
            decay=self.per_run("rms_decay"),
            eps=self.per_run("rms_eps"),
        )

    def make_memory(self) -> ReplayMemory:
        """A memory for what the settings ask for, or for all that the budget can fill it with."""
        steps, normalised = self.common.num_steps, self.common.norm_obs
        capacity = max(steps, min(self.common.replay_capacity, self.total_timesteps // self.common.num_envs))
        need, available = bytes_needed(self.env, steps, capacity, normalised), available_memory()
        try:
            if available is not None and need > available:
                raise MemoryError
            return ReplayMemory(self.env, self.runs, steps, capacity, normalised, self.device)
        except MemoryError:
            found = "an unknown amount" if available is None else f"{available / 2**30:.1f} GiB"
            raise SettingsError(
                f"replay_capacity = {self.common.replay_capacity} cannot be held: {self.runs} runs of "
                f"{self.common.num_envs} environments need {need / 2**30:.1f} GiB of memory, {found} is available; "
                "lower replay_capacity, or train fewer runs at a time"
            ) from None

    def anneal(self, remaining: float) -> None:
        self.optimizer.learning_rate = annealed(self.learning_rate, remaining if self.common.anneal_lr else 1.0)

    def iterate(self) -> tuple[list[Episode], Metrics]:
        self.anneal(self.remaining())
        steps = self.next_steps()
        noise = self.policy.draw_noise(self.seeds, self.iteration, steps, self.common.num_envs)
        experience = self.collector.collect(noise, self.steps_done, keep_next=False)
        with torch.no_grad():
            mu = self.policy.distribution(runs_first(experience.observations)).statistics()
        self.memory.add(experience, mu.view(self.runs, steps, -1, mu.shape[2]).transpose(0, 1))
        metrics = self.update(self.memory.newest(steps))
        metrics["charts/replay_updates"] = torch.from_numpy(self.replay()).to(self.device)
        self.steps_done += steps * self.common.num_envs
        self.iteration += 1
        self.note_divergence()
        return experience.episodes, metrics

    def replay(self) -> NDArray[np.int64]:
        """Poisson many updates of each run, every environment's segment drawn by itself; returns how many ``[runs]``.

        Runs that are through with theirs keep what they have while the others go on.
        """
        updates = np.zeros(self.runs, np.int64)
        if not self.memory.segments or self.memory.steps < self.common.replay_start:
            return updates
        streams = [generator(seed, "algorithm", self.iteration) for seed in self.seeds]
        updates[:] = [stream.poisson(own.replay_ratio) for stream, own in zip(streams, self.settings, strict=True)]
        starts = np.zeros((self.runs, self.common.num_envs), np.int64)
        for update in range(updates.max()):
            going = updates > update
            for run in np.flatnonzero(going):
                starts[run] = self.memory.draw(streams[run])
            self.update(self.memory.read(starts, self.common.num_steps), torch.from_numpy(going).to(self.device))
        return updates

    def update(self, segment: Segment, where: Tensor | None = None) -> Metrics:
        """Take one step of RMSProp on the policy's and the critic's loss, with the runs of ``where`` ``[runs]``; then
        their average policy follows."""
        distribution, q = self.policy(segment.observations)
        policy_loss, q_loss = self.losses(segment, cast(Categorical, distribution), q)
        grad_norm = self.optimizer.step(policy_loss + self.q_coef.squeeze(1) * q_loss, where)
        average = torch.lerp(self.average, self.policy.parameters.detach(), 1 - self.ema_decay)
        self.average.copy_(average if where is None else torch.where(where.unsqueeze(1), average, self.average))
        return {
            "losses/policy_loss": policy_loss.detach(),
            "losses/value_loss": q_loss.detach(),
            "losses/entropy": distribution.entropy().detach().mean(dim=1),
            "losses/grad_norm": grad_norm,
            "charts/learning_rate": self.optimizer.learning_rate.squeeze(1),
        }

    def losses(self, segment: Segment, distribution: Categorical, q: Tensor) -> tuple[Tensor, Tensor]:
        """Of the policy and of the critic, ``[runs]`` each; ``distribution`` and ``q`` ``[runs, batch, n]`` are the
        policy's at the segment's observations.

        The policy's gradient in a state is that of section 3.2, and the trust region's projection of it:

            min(c, rho(a_t)) d log pi(a_t) (Q^ret - V) + sum_a pi(a) [1 - c / rho(a)]_+ d log pi(a) (Q(a) - V)

        where rho = pi / mu. The second term, written as [pi - c mu]_+, gives back what the truncation takes away.
        """
        actions, mu = segment.actions.unsqueeze(-1), segment.probabilities
        q_taken = q.gather(-1, actions).squeeze(-1)
        with torch.no_grad():
            pi = distribution.statistics()
            values = (pi * q).sum(-1)
            ratios = (pi / mu).gather(-1, actions).squeeze(-1)
            targets = self.targets(segment, values, q_taken, ratios)
            weights = torch.minimum(ratios, self.importance_clip) * (targets - values)
            corrections = (pi - self.importance_clip.unsqueeze(-1) * mu).clamp(min=0) * (q - values.unsqueeze(-1))
            average = cast(Categorical, self.policy.distribution_of(self.average, segment.observations))

        def gain(current: Categorical) -> Tensor:
            truncated = weights * current.log_prob(segment.actions)
            correction = (corrections * current.log_probs).sum(-1)
            return truncated + correction + self.ent_coef * current.entropy()

        policy_loss = trust_region_loss(distribution, average, gain, self.trust_region_delta)
        return policy_loss, 0.5 * (targets - q_taken).square().mean(dim=1)

    def targets(self, segment: Segment, values: Tensor, q_taken: Tensor, ratios: Tensor) -> Tensor:
        """Q^ret ``[runs, batch]``; beyond the segment's end counts what the critic expects there."""
        distribution, q = self.policy(segment.last_observations)
        last_values = (distribution.statistics() * q).sum(-1)

        def by_step(batch: Tensor) -> Tensor:  # [steps, runs, envs]
            return batch.view(self.runs, -1, last_values.shape[1]).transpose(0, 1)

        series = segment.rewards, segment.ended, values, q_taken, ratios
        rewards, ended, values, q_taken, ratios = map(by_step, series)
        targets = retrace(rewards, ended, values, q_taken, ratios, last_values, self.gamma)
        return targets.transpose(0, 1).flatten(1)

    def state(self) -> dict[str, Any]:
        done = self.steps_done >= self.total_timesteps  # nothing depends on the memory any more
        return {
            **super().state(),
            "optimizer": self.optimizer.state(),
            "average": self.average,
            "memory": None if done else self.memory.state(self.files),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self.optimizer.load_state(state["optimizer"])
        self.average.copy_(state["average"])
        if state["memory"] is not None:
            self.memory.load_state(state["memory"], self.files)
