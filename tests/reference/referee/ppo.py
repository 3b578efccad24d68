"""PPO: equations 6 to 9, section 4's rule for beta, Table 5's alpha, Table 4's log-std and step size."""

import math

import torch

from tests.reference.referee.on_policy import OnPolicy, descend, standardised


class PPO(OnPolicy):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        settings = self.settings
        self.optimizer = torch.optim.Adam(self.networks.parameters(), lr=settings.learning_rate, eps=settings.adam_eps)
        self.beta = settings.kl_coef
        self.betas, self.rates = [], []
        """Used in each update."""
        self.rate = settings.learning_rate

    def iterate(self):
        settings, log_std = self.settings, self.networks.log_std
        if settings.anneal_log_std:  # LinearAnneal(start, end), and not learned
            done = self.steps_done / self.total_timesteps
            log_std.requires_grad_(False).fill_(
                settings.log_std_start + (settings.log_std_end - settings.log_std_start) * done
            )
        return super().iterate()

    def improve(self, samples):
        settings, alpha = self.settings, self.remaining()
        self.rates.append(self.rate * (alpha if settings.anneal_lr else 1))
        self.optimizer.param_groups[0]["lr"] = self.rates[-1]
        epsilon = settings.clip_coef * (alpha if settings.anneal_clip else 1)
        raw_advantages = samples.advantages
        if settings.norm_adv == "batch":
            samples.advantages = standardised(raw_advantages)
        self.value_range = settings.vf_clip_range * (alpha if settings.anneal_clip else 1)
        for minibatch in self.minibatches(samples, settings.update_epochs, settings.minibatch_size):
            grad_norm = descend(self.optimizer, self.loss(minibatch, epsilon), settings.max_grad_norm)
        metrics = self.measure(samples, standardised(raw_advantages), epsilon)
        self.betas.append(self.beta)
        self.adapt_beta(metrics["losses/approx_kl"])
        self.adapt_rate(metrics["losses/approx_kl"])
        return {**metrics, "losses/grad_norm": grad_norm, "losses/kl_coef": self.betas[-1]}

    def adapt_beta(self, kl):
        """Section 4."""
        target = self.settings.kl_target
        if target and kl < target / 1.5:
            self.beta /= 2
        elif target and kl > target * 1.5:
            self.beta *= 2

    def adapt_rate(self, kl):
        """Table 4: "adjusted based on the value of the KL divergence", by the rule of openai/baselines' acktr."""
        target = self.settings.lr_kl_target
        if target and kl > 2 * target:
            self.rate = max(self.rate / 1.5, 1e-8)
        elif target and kl < target / 2:
            self.rate = min(self.rate * 1.5, 1.0)

    def loss(self, samples, epsilon):
        """-L of equation 9."""
        settings, policy = self.settings, self.policy(samples.observations)
        advantages = standardised(samples.advantages) if settings.norm_adv == "minibatch" else samples.advantages
        objective = surrogate(samples.ratio(policy), advantages, epsilon)
        objective = objective - self.beta * samples.kl(policy) + settings.ent_coef * policy.entropy().mean()
        return settings.vf_coef * self.value_loss(samples) - objective

    def value_loss(self, samples):
        values, clip = self.values(samples.observations), self.value_range
        errors = (values - samples.returns) ** 2
        if clip < math.inf:
            near = torch.clamp(values, samples.values - clip, samples.values + clip)
            errors = torch.maximum(errors, (near - samples.returns) ** 2)
        return errors.mean()

    @torch.no_grad()
    def measure(self, samples, advantages, epsilon):
        """On the whole batch, after the update."""
        policy = self.policy(samples.observations)
        ratio = samples.ratio(policy)
        return {
            "losses/policy_loss": -surrogate(ratio, advantages, epsilon),
            "losses/value_loss": self.value_loss(samples),
            "losses/entropy": policy.entropy().mean(),
            "losses/approx_kl": samples.kl(policy),
            "losses/clipfrac": (abs(ratio - 1) > epsilon).double().mean(),
            "charts/learning_rate": self.optimizer.param_groups[0]["lr"],
        }


def surrogate(ratio, advantages, epsilon):
    """Equation 7, or 6 where epsilon is inf."""
    if epsilon == math.inf:
        return (ratio * advantages).mean()
    return torch.minimum(ratio * advantages, torch.clamp(ratio, 1 - epsilon, 1 + epsilon) * advantages).mean()
