"""ACER's Algorithms 1 and 2 (Wang et al. 2016) for discrete actions."""

from dataclasses import dataclass

import numpy as np
import torch

from ppo.seeding import generator
from tests.reference.referee.a2c import RMSProp
from tests.reference.referee.run import SingleRun
from tests.reference.referee.trust_region import TrustRegion, policy_of


@dataclass
class Piece:
    """Consecutive steps of one environment: ``[steps, ...]``; ``observations``: ``[steps + 1, size]``."""

    observations: torch.Tensor
    actions: torch.Tensor
    rewards: np.ndarray
    ended: np.ndarray
    mu: torch.Tensor


class ACER(SingleRun):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        settings = self.settings
        self.optimizer = RMSProp(self.networks, settings)
        self.trust_region = TrustRegion(self.networks, settings.trust_region_delta, settings.ema_decay)
        self.memory = []
        """A list of pieces, one of each environment, for every whole segment so far."""
        self.replayed = []
        """Number of updates from the memory in each iteration."""
        self.corrections = self.truncations = self.dropped = 0
        """Actions with a bias correction; truncated importance weights; segments no longer in the memory."""

    def critic_outputs(self):
        return self.choices

    def iterate(self):
        settings, steps = self.settings, self.next_steps()
        rollout = self.collect(self.noise(steps))
        observations = torch.from_numpy(np.concatenate([rollout.observations, rollout.last_observations[None]]))
        with torch.no_grad():
            mu = self.networks.actor(observations[:-1]).softmax(dim=-1)
        pieces = [
            Piece(
                observations[:, env],
                torch.from_numpy(rollout.actions[:, env]),
                rollout.rewards[:, env],
                rollout.ended[:, env],
                mu[:, env],
            )
            for env in range(settings.num_envs)
        ]
        self.learning_rate = settings.learning_rate * (self.remaining() if settings.anneal_lr else 1)
        metrics = self.update(pieces)
        if steps == settings.num_steps:
            self.memory.append(pieces)
        self.steps_done += steps * settings.num_envs
        self.replay()
        self.iteration += 1
        metrics |= {"charts/replay_updates": self.replayed[-1], "charts/learning_rate": self.learning_rate}
        return {name: torch.as_tensor(value).item() for name, value in metrics.items()}

    def replay(self):
        """Take a Poisson number of updates on segments drawn uniformly, for each environment apart."""
        settings, steps_each = self.settings, self.steps_done // self.settings.num_envs
        self.replayed.append(0)
        if not self.memory or steps_each < settings.replay_start:
            return
        stream = generator(self.seed, "algorithm", self.iteration)
        self.replayed[-1] = stream.poisson(settings.replay_ratio)
        length = settings.num_steps
        capacity = min(settings.replay_capacity, self.total_timesteps // settings.num_envs) // length * length
        stored = [i for i in range(len(self.memory)) if i * length >= steps_each - capacity]
        self.dropped = len(self.memory) - len(stored)
        for _ in range(self.replayed[-1]):
            chosen = stream.integers(stored[0], stored[-1] + 1, size=settings.num_envs)
            self.update([self.memory[segment][env] for env, segment in enumerate(chosen)])

    def update(self, pieces):
        """Take one step on ``pieces``, one of each environment; return metrics."""
        self.optimizer.zero_grad()
        samples = sum(len(piece.actions) for piece in pieces)
        q_loss = entropy = 0.0
        for piece in pieces:
            loss, nats = self.backpropagate(piece, samples)
            q_loss, entropy = q_loss + loss, entropy + nats
        norm = self.optimizer.step(self.learning_rate)
        self.trust_region.update_average()
        return {"losses/value_loss": q_loss, "losses/entropy": entropy, "losses/grad_norm": norm}

    def backpropagate(self, piece, samples):
        """Add a piece's share to the gradient of a mean over ``samples``; return its share of the critic's loss and of
        the entropy."""
        settings, c = self.settings, self.settings.importance_clip
        observations, taken = piece.observations[:-1], piece.actions[:, None]
        policy, q = policy_of(self.networks, observations), self.networks.critic(observations)
        with torch.no_grad():
            pi = policy.phi
            value = (pi * q).sum(dim=1)
            rho = pi / piece.mu
            rho_taken = rho.gather(1, taken)[:, 0]
            targets = self.retrace(piece, rho_taken.numpy(), value.numpy(), q.gather(1, taken)[:, 0].numpy())
            gradient = policy.log_prob_slope(piece.actions) * (rho_taken.clamp(max=c) * (targets - value))[:, None]
            surplus = (1 - c / rho).clamp(min=0)
            gradient += surplus * (q - value[:, None])  # pi(a) times the slope of log pi(a) is 1
            gradient += settings.ent_coef * policy.entropy_slope()
            self.corrections += int((surplus > 0).sum())
            self.truncations += int((rho_taken > c).sum())
        z = self.trust_region.projected(gradient, policy, observations)
        policy.phi.backward(-z / samples, retain_graph=True)
        q_loss = 0.5 * ((targets - q.gather(1, taken)[:, 0]) ** 2).sum() / samples
        (settings.q_coef * q_loss).backward()
        return q_loss.item(), -(pi * pi.log()).sum().item() / samples

    @torch.no_grad()
    def retrace(self, piece, rho, value, q):
        """Return Algorithm 2's targets, computed from the last step backwards."""
        last = piece.observations[-1:]
        following = (policy_of(self.networks, last).phi * self.networks.critic(last)).sum().item()
        targets = np.zeros(len(rho))
        for step in reversed(range(len(rho))):
            if piece.ended[step]:
                following = 0.0
            targets[step] = piece.rewards[step] + self.settings.gamma * following
            following = min(1.0, rho[step]) * (targets[step] - q[step]) + value[step]
        return torch.from_numpy(targets)
