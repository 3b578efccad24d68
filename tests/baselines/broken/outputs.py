"""Baselines that give or take what they should not."""

from ppo.ppo import PPO


class Overruns(PPO):
    """Wrong: every iteration is a whole one, whatever is left of the budget."""

    def next_steps(self):
        return self.shared.num_steps


class AdaptsWhenWatched(PPO):
    """Wrong: beta is adapted to the KL that is measured for people, and stays as it is where nobody looks."""

    def setup(self):
        super().setup()
        self._adapts = False

    def measure(self, batch, clip_coef):
        metrics = super().measure(batch, clip_coef)
        self.adapt(batch)
        return metrics


class ReportsTheStack(PPO):
    """Wrong: a metric is one number for all runs."""

    def measure(self, batch, clip_coef):
        metrics = super().measure(batch, clip_coef)
        return {**metrics, "losses/entropy": metrics["losses/entropy"].mean()}
