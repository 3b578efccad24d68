"""The cross-entropy method over the policy's parameters [Szita and Lorincz 2006]."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ppo.algorithm import Algorithm, Metrics
from ppo.policy import Policy
from ppo.rollout import Episode
from ppo.seeding import generator
from ppo.settings import Settings, setting


@dataclass(frozen=True)
class CEMSettings(Settings):
    """The defaults are those of joschu/modular_rl's MuJoCo battery ("cem10-5"), apart from the population and the first
    deviation (200 and 1 there), which were tuned for the MuJoCo tasks (experiments/paper/settings.py)."""

    num_envs: int = setting(10, at_least=1)
    """environments that each run steps in parallel: candidates that are evaluated at once"""
    num_steps: int = setting(200, at_least=1)
    """steps of each environment in an iteration, after which the training may be stopped"""
    population: int = setting(20, at_least=2)
    """candidates of a generation, one episode each"""
    elite_frac: float = setting(0.2, above=0, at_most=1)
    """fraction of the candidates to which the next generation's distribution is fitted"""
    initial_std: float = setting(0.1, above=0)
    """initial standard deviation of the parameters"""
    extra_std: float = setting(0.01, at_least=0)
    """deviation added to the elite's; its square falls linearly to 0 over the first half of total_timesteps"""
    network: str = "10-5"
    """units of the hidden layers"""
    sees_pictures = False
    obs_filters = ("step",)
    deterministic: bool = True
    """whether candidates take their most likely action; if not, the log-std is also searched"""

    @property
    def samples_actions(self) -> bool:
        return not self.deterministic

    @property
    def elite(self) -> int:
        """The number of candidates that the next generation is fitted to."""
        return max(round(self.elite_frac * self.population), 1)


def refit(candidates: Tensor, returns: NDArray[np.float64], elite: int, extra_std: float) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation ``[P]`` of the ``elite`` best of ``candidates`` ``[population, P]``."""
    best = candidates[torch.from_numpy(np.argsort(-returns, kind="stable")[:elite].copy())]
    variance, mean = torch.var_mean(best, dim=0, correction=0)
    return mean, (variance + extra_std**2).sqrt()


class CEM(Algorithm):
    """Draw candidates from a Gaussian with independent components, run each for an episode, refit it to the best.

    A population is a stack: every environment row has a different candidate. A row whose episode ends continues with
    the next candidate; a generation ends when ``population`` episodes are over, so an unfinished candidate counts for
    the next generation, and no step is wasted.
    """

    Settings = CEMSettings
    keeps = ("std", "tried", "returns", "drawn", "finished", "generation", "members")

    def setup(self) -> None:
        envs, population = self.shared.num_envs, self.shared.population
        self.policy = self.make_policy()
        self.members = self.make_policy([seed for seed in self.seeds for _ in range(envs)])
        self.mean = self.searched(self.policy)
        """Of the distribution of candidates, ``[runs, P]``: the policy itself."""
        self.std = self.per_run.initial_std * torch.ones_like(self.mean)
        self.trying = self.searched(self.members).view(self.runs, envs, -1)
        """The candidate in each environment, ``[runs, envs, P]``: a view of the members' parameters."""
        self.tried = self.mean.new_zeros(self.runs, population, self.mean.shape[1])
        """The candidates of this generation whose episodes are over; ``returns`` are theirs."""
        self.returns = np.zeros((self.runs, population))
        self.drawn, self.finished, self.generation = (np.zeros(self.runs, dtype=np.int64) for _ in range(3))
        for run in range(self.runs):
            for env in range(envs):
                self.draw(run, env)
        self.collector = self.make_collector(self.act)

    def searched(self, policy: Policy) -> Tensor:
        """Return the searched parameters of ``policy``: a view."""
        return (policy.actor_network if self.shared.deterministic else policy.actor).values

    def act(self, observations: NDArray[np.float32], noise: NDArray[np.float32]) -> NDArray[Any]:
        """Return the actions of each environment's candidate: ``[runs, envs, ...]``."""
        runs, envs = observations.shape[:2]
        rows = observations.reshape(runs * envs, 1, *observations.shape[2:])
        actions = self.members.act(rows, noise.reshape(runs * envs, 1, -1))
        return actions.reshape(runs, envs, *actions.shape[2:])

    def draw(self, run: int, env: int) -> None:
        """Draw the run's next candidate for an environment."""
        stream = generator(self.seeds[run], "algorithm", int(self.drawn[run]))
        noise = torch.from_numpy(stream.standard_normal(self.mean.shape[1], dtype=np.float32)).to(self.device)
        self.trying[run, env] = self.mean[run] + self.std[run] * noise
        self.drawn[run] += 1

    def advance(self, noise: NDArray[np.float32]) -> tuple[list[Episode], Metrics]:
        episodes = []
        for step in range(len(noise)):
            steps_done = self.steps_done + step * self.shared.num_envs
            experience = self.collector.collect(noise[step : step + 1], steps_done, keep_next=False)
            ended = np.argwhere(experience.ended[0] & ~self.collector.diverged[:, None]).tolist()
            if experience.episodes:
                for (run, env), episode in zip(ended, experience.episodes, strict=True):
                    self.finish(run, env, episode.episodic_return, self.remaining(step + 1))
                episodes += experience.episodes
        deviation = self.std.mean(dim=1)
        return episodes, {"charts/generation": torch.from_numpy(self.generation.copy()), "losses/std": deviation}

    def finish(self, run: int, env: int, episodic_return: float, remaining: float) -> None:
        """Record a candidate's return, refit the distribution after a generation's last one, and draw the next."""
        self.tried[run, self.finished[run]] = self.trying[run, env]
        self.returns[run, self.finished[run]] = episodic_return
        self.finished[run] += 1
        if self.finished[run] == self.shared.population:
            self.finished[run] = 0
            self.generation[run] += 1
            if torch.isfinite(self.mean[run]).all():  # a diverged candidate stays diverged
                settings = self.settings[run]
                extra_std = settings.extra_std * math.sqrt(max(2 * remaining - 1, 0))  # its square falls linearly
                self.mean[run], self.std[run] = refit(self.tried[run], self.returns[run], settings.elite, extra_std)
        self.draw(run, env)
