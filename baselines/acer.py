"""ACER: an actor-critic with experience replay [Wang et al. 2016], for discrete actions."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray
from torch import Tensor

from baselines.a2c_trust_region import trust_region_loss
from ppo.advantages import retrace
from ppo.algorithm import Algorithm, Metrics
from ppo.distributions import Categorical
from ppo.replay import Segment, make_memory
from ppo.rollout import Episode, runs_first, steps_first
from ppo.schedules import annealed
from ppo.seeding import generator
from ppo.settings import Settings, require, setting
from ppo.stacked.optimizers import RMSProp, follow


@dataclass(frozen=True)
class ACERSettings(Settings):
    """ACER's settings; the defaults are those of openai/baselines' acer of 2017-11, equal to the paper's unless noted,
    on a network for vectors."""

    num_envs: int = setting(16, at_least=1)
    """environments that each run steps in parallel (the paper's actor-learners)"""
    num_steps: int = setting(20, at_least=1)
    """steps of each environment between two on-policy updates, and in a segment of the memory"""
    gamma: float = setting(0.99, at_least=0, at_most=1)
    """discount"""
    learning_rate: float = setting(7e-4, at_least=0)
    """step size of RMSProp"""
    anneal_lr: bool = False
    """whether the learning rate falls linearly to 0 over total_timesteps"""
    rms_decay: float = setting(0.99, at_least=0, below=1)
    """decay of RMSProp's mean square"""
    rms_eps: float = setting(1e-5, above=0)
    """epsilon of RMSProp, under the root"""
    max_grad_norm: float = setting(10.0, above=0, inf="no clipping")
    """norm to which each run's gradient is clipped; inf for no clipping"""
    q_coef: float = setting(0.5, at_least=0)
    """the coefficient of the critic's loss, (Q^ret - Q)^2 / 2"""
    ent_coef: float = setting(0.01, at_least=0)
    """the entropy bonus's coefficient (the paper's: 0.001)"""
    replay_ratio: float = setting(4.0, at_least=0, at_most=1000)
    """average number of updates from the memory after each new segment; the number is Poisson distributed"""
    replay_capacity: int = setting(50_000, at_least=1)
    """capacity of the memory in steps of each environment"""
    replay_start: int = setting(10_000, at_least=0)
    """steps of each environment before the first update from the memory"""
    importance_clip: float = setting(10.0, above=0)
    """c, at which importance weights are truncated; the bias is corrected with the critic"""
    trust_region_delta: float = setting(1.0, above=0, inf="no trust region")
    """delta, the largest KL from the average policy that a step may cause in a state, to first order; inf for no trust
    region"""
    ema_decay: float = setting(0.99, at_least=0, below=1)
    """alpha, the decay of the exponential moving average of the policy's parameters"""
    obs_filters = ("step",)

    def check(self) -> None:
        super().check()
        require(self, "replay_capacity", self.replay_capacity >= self.num_steps, "at least num_steps")
        require(self, "replay_start", self.replay_start <= self.replay_capacity, "at most replay_capacity")


class ACER(Algorithm):
    """Collect ``num_steps`` steps from every environment, update with them, then with segments of the memory (the
    paper's Algorithms 1 and 2)."""

    Settings = ACERSettings
    continuous = False
    keeps = ("optimizer", "average")

    @classmethod
    def critic_outputs(cls, action_space: Box | Discrete) -> int:
        assert isinstance(action_space, Discrete)
        return int(action_space.n)

    def setup(self) -> None:
        per_run = self.per_run
        self.memory = make_memory(self.env, self.runs, self.shared, self.total_timesteps, self.device)
        self.policy = self.make_policy()
        self.average = self.policy.parameters.detach().clone()
        self.collector = self.make_collector(self.policy.act)
        self.optimizer = RMSProp(
            self.policy.parameters,
            per_run.learning_rate,
            per_run.max_grad_norm,
            decay=per_run.rms_decay,
            eps=per_run.rms_eps,
        )

    def anneal(self, remaining: float) -> None:
        self.optimizer.learning_rate = annealed(self.per_run.learning_rate, remaining if self.shared.anneal_lr else 1.0)

    def advance(self, noise: NDArray[np.float32]) -> tuple[list[Episode], Metrics]:
        experience = self.collector.collect(noise, self.steps_done, keep_next=False)
        with torch.no_grad():
            mu = self.policy.distribution(runs_first(experience.observations)).statistics()
        self.memory.add(experience, steps_first(mu, len(noise)))
        metrics = self.update(self.memory.newest(len(noise)))
        metrics["charts/replay_updates"] = torch.from_numpy(self.replay()).to(self.device)
        return experience.episodes, metrics

    def replay(self) -> NDArray[np.int64]:
        """Update from the memory, a Poisson distributed number of times for each run; return the numbers ``[runs]``.

        Each environment's segment is drawn independently. A run that has done its updates does not change while others
        continue.
        """
        updates = np.zeros(self.runs, np.int64)
        if not self.memory.segments or self.memory.steps < self.shared.replay_start:
            return updates
        streams = [generator(seed, "algorithm", self.iteration) for seed in self.seeds]
        updates[:] = [stream.poisson(run.replay_ratio) for stream, run in zip(streams, self.settings, strict=True)]
        starts = np.zeros((self.runs, self.shared.num_envs), np.int64)
        for update in range(updates.max()):
            going = updates > update
            for run in np.flatnonzero(going):
                starts[run] = self.memory.draw(streams[run])
            self.update(self.memory.read(starts, self.shared.num_steps), torch.from_numpy(going).to(self.device))
        return updates

    def update(self, segment: Segment, where: Tensor | None = None) -> Metrics:
        """Take one step of RMSProp on the policy's and the critic's loss in the runs of ``where`` ``[runs]``; then
        update their average policies."""
        distribution, q = self.policy(segment.observations)
        policy_loss, q_loss = self.losses(segment, cast(Categorical, distribution), q)
        grad_norm = self.optimizer.step(policy_loss + self.per_run.q_coef.squeeze(1) * q_loss, where)
        follow(self.average, self.policy.parameters, self.per_run.ema_decay, where)
        return {
            "losses/policy_loss": policy_loss.detach(),
            "losses/value_loss": q_loss.detach(),
            "losses/entropy": distribution.entropy().detach().mean(dim=1),
            "losses/grad_norm": grad_norm,
            "charts/learning_rate": self.optimizer.learning_rate.squeeze(1),
        }

    def losses(self, segment: Segment, distribution: Categorical, q: Tensor) -> tuple[Tensor, Tensor]:
        """Return the policy's and the critic's loss, ``[runs]`` each; ``distribution`` and ``q`` ``[runs, batch, n]``:
        at the segment's observations.

        The policy's gradient in a state, before the trust region's projection (section 3.2):

            min(c, rho(a_t)) d log pi(a_t) (Q^ret - V) + sum_a pi(a) [1 - c / rho(a)]_+ d log pi(a) (Q(a) - V)

        where rho = pi / mu. The second term, written as [pi - c mu]_+, corrects the bias of the truncation.
        """
        actions, mu = segment.actions.unsqueeze(-1), segment.probabilities
        q_taken = q.gather(-1, actions).squeeze(-1)
        with torch.no_grad():
            pi = distribution.statistics()
            values = (pi * q).sum(-1)
            ratios = (pi / mu).gather(-1, actions).squeeze(-1)
            targets = self.targets(segment, values, q_taken, ratios)
            c = self.per_run.importance_clip
            weights = torch.minimum(ratios, c) * (targets - values)
            corrections = (pi - c.unsqueeze(-1) * mu).clamp(min=0) * (q - values.unsqueeze(-1))
            average = cast(Categorical, self.policy.distribution(segment.observations, self.average))

        def gain(current: Categorical) -> Tensor:
            truncated = weights * current.log_prob(segment.actions)
            correction = (corrections * current.log_probs).sum(-1)
            return truncated + correction + self.per_run.ent_coef * current.entropy()

        policy_loss = trust_region_loss(distribution, average, gain, self.per_run.trust_region_delta)
        return policy_loss, 0.5 * (targets - q_taken).square().mean(dim=1)

    def targets(self, segment: Segment, values: Tensor, q_taken: Tensor, ratios: Tensor) -> Tensor:
        """Return Q^ret ``[runs, batch]``, with the critic's value after the segment's last step."""
        distribution, q = self.policy(segment.last_observations)
        last_values = (distribution.statistics() * q).sum(-1)
        steps = values.shape[1] // last_values.shape[1]
        series = segment.rewards, segment.ended, values, q_taken, ratios
        rewards, ended, values, q_taken, ratios = (steps_first(each, steps) for each in series)
        targets = retrace(rewards, ended, values, q_taken, ratios, last_values, self.per_run.gamma)
        return targets.transpose(0, 1).flatten(1)

    def state(self) -> dict[str, Any]:
        done = self.steps_done >= self.total_timesteps  # at the end of the budget nothing reads the memory any more
        return {**super().state(), "memory": None if done else self.memory.state(self.storage_dir)}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        if state["memory"] is not None:
            self.memory.load_state(state["memory"], self.storage_dir)
