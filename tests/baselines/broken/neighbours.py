"""Baselines whose runs know their neighbours."""

from dataclasses import dataclass, replace
from typing import Any

from ppo.ppo import PPO, PPOSettings
from tests.baselines.sound.early_stopping import EarlyStopping


class SharesStepCount(EarlyStopping):
    """Wrong: Adam counts the steps of the stack, and a run that leaves some out has its bias corrected as if it had
    not."""

    def setup(self):
        super().setup()
        optimizer: Any = self.optimizer
        change = optimizer.change

        def shared_change(gradient, where):
            change_of_stack = change(gradient, where)
            optimizer.steps.fill_(optimizer.steps.max())
            return change_of_stack

        optimizer.change = shared_change


class StopsForAll(EarlyStopping):
    """Wrong: one run over its limit ends the update of all."""

    def going_on(self, minibatch, going):
        return super().going_on(minibatch, going).all().expand(self.runs)


class MixesRuns(PPO):
    """Wrong: the advantages' mean is taken over dim 0 too."""

    def loss(self, batch, clip_coef):
        return super().loss(replace(batch, advantages=batch.advantages - batch.advantages.mean()), clip_coef)


@dataclass(frozen=True)
class UnionSettings(PPOSettings):
    """PPO's, and one whose type is a number of either kind."""

    extra_entropy: int | float = 0.01
    """added to ent_coef"""


class Union(PPO):
    """Wrong: a setting that is meant to be each run's own is declared as another type than float, so a stack takes one
    value for all."""

    Settings = UnionSettings
