"""Train an algorithm of one's own beside PPO: its loss with the squared distance of the ratio from 1 as penalty.

python examples/own_algorithm.py
ppo train InvertedPendulum-v4 --algorithm own_algorithm:SquaredPenalty --out runs/own    # in the folder examples/
ppo run figure3 --algorithms own_algorithm:SquaredPenalty                                # beside the paper's
"""

import math
import sys
from dataclasses import dataclass

import torch
from torch import Tensor

import ppo
from ppo.ppo import PPO, PPOSettings
from ppo.rollout import Batch
from ppo.settings import setting


@dataclass(frozen=True)
class SquaredPenaltySettings(PPOSettings):
    """PPO's, and the penalty's."""

    ratio_coef: float = setting(1.0, at_least=0)
    """coefficient of the mean of (r - 1)^2"""


class SquaredPenalty(PPO):
    """PPO with the plain surrogate and a penalty in place of the clipped surrogate."""

    Settings = SquaredPenaltySettings

    def loss(self, batch: Batch, clip_coef: Tensor) -> Tensor:
        """Return the loss without clipping (equation 6) + c E[(r - 1)^2] on one minibatch: ``[runs]``."""
        ratio = batch.ratio(self.policy.distribution(batch.observations))
        penalty = self.per_run.ratio_coef.squeeze(1) * (ratio - 1).square().mean(dim=1)
        return super().loss(batch, torch.full_like(clip_coef, math.inf)) + penalty


def main(total_timesteps: int = 20_480) -> None:
    for algorithm in (PPO, SquaredPenalty):
        trained = ppo.train("InvertedPendulum-v4", algorithm, seeds=[1, 2, 3], total_timesteps=total_timesteps)
        score = trained.episodes.groupby("seed")["episodic_return"].apply(lambda returns: returns.tail(100).mean())
        print(f"{algorithm.__name__}: mean return of the last 100 episodes, by seed: {score.round(1).to_list()}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
