"""A protocol: the runs of one table or figure, by kind."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from experiments.paper.profiles import Profile
from experiments.paper.settings import MUJOCO, UNTRAINED
from experiments.run import Run


@dataclass(frozen=True)
class Protocol:
    """The runs of one table or figure of the paper or of this project."""

    name: str
    trained: tuple[Run, ...] = ()
    """Runs that learn."""
    untrained: tuple[Run, ...] = ()
    """Runs of the random policy, the zero of normalised scores."""
    first_updates: tuple[Run, ...] = ()
    """Runs that end with their first update, along which the surrogates are measured (Figure 2)."""

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs whose episodes are recorded."""
        return (*self.trained, *self.untrained)


def untrained(profile: Profile, environments: Iterable[str], seeds: Iterable[int]) -> tuple[Run, ...]:
    """Plan runs of the random policy."""
    return tuple(
        Run(environment, "ppo", "untrained", seed, profile.untrained_timesteps, UNTRAINED)
        for environment, seed in itertools.product(environments, seeds)
    )


def first_updates(seeds: Iterable[int]) -> tuple[Run, ...]:
    """Plan the first update on Hopper, as Figure 2 shows it."""
    return tuple(Run("Hopper-v4", "ppo", "clip-0.2", seed, MUJOCO.num_steps, MUJOCO) for seed in seeds)
