"""The cross-entropy method (Szita and Lorincz 2006) with noise that falls to 0 over the first half of the budget."""

import copy

import numpy as np
import torch

from ppo.seeding import generator
from tests.reference.referee.run import SingleRun


class CEM(SingleRun):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        settings = self.settings
        actor = sum(parameter.numel() for parameter in self.networks.actor.parameters())
        self.start = self.networks.values()
        self.searched = actor if settings.deterministic else actor + len(self.networks.log_std)
        self.mean = self.start[: self.searched].numpy()
        self.deviation = np.full(self.searched, settings.initial_std)
        self.drawn, self.generations, self.tried = 0, 0, []
        self.candidates = [None] * settings.num_envs
        self.members = [copy.deepcopy(self.networks) for _ in range(settings.num_envs)]
        """The candidate that each environment tries, as weights and as networks."""
        for env in range(settings.num_envs):
            self.try_next(env)

    def try_next(self, env):
        """Draw the next candidate, for an environment."""
        noise = generator(self.seed, "algorithm", self.drawn).standard_normal(self.searched, dtype=np.float32)
        self.drawn += 1
        self.candidates[env] = self.mean + self.deviation * noise
        self.fill(self.members[env], self.candidates[env])

    @torch.no_grad()
    def act(self, observations, noise):
        """Act with each environment's candidate."""
        triples = zip(self.members, observations[:, None], noise[:, None], strict=True)
        return np.concatenate([self.act_with(*triple) for triple in triples])

    def fill(self, networks, weights):
        row = self.start.clone()
        row[: self.searched] = torch.from_numpy(weights)
        networks.fill(row)

    def iterate(self):
        settings, steps = self.settings, self.next_steps()
        noise = self.noise(steps) * (0 if settings.deterministic else 1)
        for row in noise:
            before = len(self.environments.episodes)
            rollout = self.collect(row[None])
            self.steps_done += settings.num_envs
            episodes = iter(self.environments.episodes[before:])
            for env in np.flatnonzero(rollout.ended[0]):
                self.finish(env, next(episodes)[2])
        self.fill(self.networks, self.mean)
        self.iteration += 1
        return {"charts/generation": self.generations, "losses/std": self.deviation.mean()}

    def finish(self, env, episodic_return):
        settings = self.settings
        self.tried.append((episodic_return, self.candidates[env]))
        if len(self.tried) == settings.population:
            count = max(1, round(settings.elite_frac * settings.population))
            best = [weights for _, weights in sorted(self.tried, key=lambda pair: -pair[0])[:count]]
            extra_variance = settings.extra_std**2 * max(0.0, 1 - 2 * self.steps_done / self.total_timesteps)
            self.mean = np.mean(best, axis=0)
            self.deviation = np.sqrt(np.var(best, axis=0) + extra_variance)
            self.generations += 1
            self.tried = []
        self.try_next(env)
