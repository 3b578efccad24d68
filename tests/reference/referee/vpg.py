"""Equation 1 with an adaptive step size, and a value function that is fitted apart from the policy."""

import torch

from tests.reference.referee.on_policy import OnPolicy, descend, standardised


class WithCritic(OnPolicy):
    """Adam on the critic alone."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        settings, critic = self.settings, self.networks.critic.parameters()
        self.critic_optimizer = torch.optim.Adam(critic, lr=settings.vf_learning_rate, eps=settings.vf_adam_eps)

    def fit(self, samples):
        """Fit the values to the returns; return the mean squared error afterwards."""

        def loss(batch):
            return torch.nn.functional.mse_loss(self.values(batch.observations), batch.returns)

        for minibatch in self.minibatches(samples, self.settings.vf_epochs, self.settings.vf_minibatch_size):
            descend(self.critic_optimizer, loss(minibatch))
        with torch.no_grad():
            return loss(samples)


class VPG(WithCritic):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        policy = [*self.networks.actor.parameters(), self.networks.log_std]
        self.optimizer = torch.optim.Adam(policy, lr=self.settings.learning_rate, eps=1e-8)
        self.rates = []
        """Step size of each update."""

    def improve(self, samples):
        (group,), target = self.optimizer.param_groups, self.settings.desired_kl
        self.rates.append(group["lr"])
        log_probs = self.policy(samples.observations).log_prob(samples.actions)
        loss = -(log_probs * standardised(samples.advantages)).mean()
        norm = descend(self.optimizer, loss)
        with torch.no_grad():
            policy = self.policy(samples.observations)
            kl = samples.kl(policy)
        if kl > 2 * target:
            group["lr"] /= 1.5
        elif kl < target / 2:
            group["lr"] *= 1.5
        return {
            "losses/policy_loss": loss,
            "losses/value_loss": self.fit(samples),
            "losses/entropy": policy.entropy().mean(),
            "losses/approx_kl": kl,
            "losses/grad_norm": norm,
            "charts/learning_rate": self.rates[-1],
        }
