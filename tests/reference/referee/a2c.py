"""A2C, and A2C with ACER's trust region."""

import torch

from tests.reference.referee.on_policy import OnPolicy
from tests.reference.referee.trust_region import TrustRegion, policy_of


class RMSProp:
    """As TensorFlow has it: the mean square starts at 1, epsilon is under the root."""

    def __init__(self, networks, settings):
        self.settings = settings
        self.parameters = [parameter for parameter in networks.parameters() if parameter.numel()]
        self.squares = [torch.ones_like(parameter) for parameter in self.parameters]

    def zero_grad(self):
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate):
        """Return the gradient's norm before it is clipped."""
        decay, eps = self.settings.rms_decay, self.settings.rms_eps
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.max_grad_norm)
        for parameter, square in zip(self.parameters, self.squares, strict=True):
            square.copy_(decay * square + (1 - decay) * parameter.grad**2)
            parameter -= learning_rate * parameter.grad / torch.sqrt(square + eps)
        return norm


class A2C(OnPolicy):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.optimizer = RMSProp(self.networks, self.settings)

    def improve(self, samples):
        settings = self.settings
        learning_rate = settings.learning_rate * (self.remaining() if settings.anneal_lr else 1)
        self.optimizer.zero_grad()
        policy_loss = self.backpropagate_policy_loss(samples)
        value_loss = torch.nn.functional.mse_loss(self.values(samples.observations), samples.returns)
        (settings.vf_coef * value_loss).backward()
        with torch.no_grad():
            entropy = self.policy(samples.observations).entropy().mean()
        return {
            **policy_loss,
            "losses/value_loss": value_loss,
            "losses/entropy": entropy,
            "losses/grad_norm": self.optimizer.step(learning_rate),
            "charts/learning_rate": learning_rate,
        }

    def backpropagate_policy_loss(self, samples):
        """Return it as a metric."""
        policy = self.policy(samples.observations)
        gain = (policy.log_prob(samples.actions) * samples.advantages).mean()
        loss = -gain - self.settings.ent_coef * policy.entropy().mean()
        loss.backward()
        return {"losses/policy_loss": loss}


class A2CTrustRegion(A2C):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.trust_region = TrustRegion(self.networks, self.settings.trust_region_delta, self.settings.ema_decay)

    def improve(self, samples):
        metrics = super().improve(samples)
        self.trust_region.update_average()
        return metrics

    def backpropagate_policy_loss(self, samples):
        policy = policy_of(self.networks, samples.observations)
        with torch.no_grad():
            gradient = policy.log_prob_slope(samples.actions) * samples.advantages[:, None]
            gradient = gradient + self.settings.ent_coef * policy.entropy_slope()
        z = self.trust_region.projected(gradient, policy, samples.observations)
        policy.phi.backward(-z / len(z))
        return {}
