"""TRPO (Schulman et al. 2015, appendix C) and NPG: conjugate gradient on Fisher products by double backpropagation."""

import numpy as np
import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from tests.reference.referee.on_policy import standardised
from tests.reference.referee.vpg import WithCritic


class TRPO(WithCritic):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.sizes = []
        """Fraction of the full step that each update took."""

    def free(self):
        """Return the parameters that the step may change."""
        actor = [*self.networks.actor.parameters()]
        return actor if self.discrete or self.settings.fixed_log_std else [*actor, self.networks.log_std]

    def improve(self, samples):
        settings = self.settings
        if settings.norm_adv == "batch":
            samples.advantages = standardised(samples.advantages)
        gradient = self.flat_gradient(self.surrogate(samples))
        subset = samples.at(torch.arange(0, len(samples.values), settings.sub_sampling_factor))
        direction = conjugate_gradient(lambda v: self.fisher_product(subset, v), gradient, settings.cg_iters)
        curvature = direction @ self.fisher_product(subset, direction)
        metrics = self.move(samples, direction * torch.sqrt(2 * settings.max_kl / curvature))
        with torch.no_grad():
            metrics["losses/entropy"] = self.policy(samples.observations).entropy().mean()
        return {**metrics, "losses/value_loss": self.fit(samples)}

    def surrogate(self, samples):
        return (samples.ratio(self.policy(samples.observations)) * samples.advantages).mean()

    def flat_gradient(self, value, **options):
        return torch.cat([part.reshape(-1) for part in torch.autograd.grad(value, self.free(), **options)])

    def fisher_product(self, samples, vector):
        slope = self.flat_gradient(samples.kl(self.policy(samples.observations)), create_graph=True)
        return self.flat_gradient(slope @ vector) + self.settings.cg_damping * vector

    @torch.no_grad()
    def move(self, samples, step):
        """Change the parameters by ``step``, or by the part of it that the line search accepts."""
        settings, start = self.settings, parameters_to_vector(self.free())
        before = self.surrogate(samples)
        tries = settings.line_search_iters if settings.line_search else 1
        for size in 0.5 ** np.arange(tries):
            vector_to_parameters(start + size * step, self.free())
            gain, kl = self.surrogate(samples) - before, samples.kl(self.policy(samples.observations))
            improves = gain >= 0 if settings.accept_zero else gain > 0
            if not settings.line_search or (improves and kl <= settings.kl_margin * settings.max_kl):
                break
        else:
            vector_to_parameters(start, self.free())
            size, gain, kl = 0.0, 0.0, 0.0
        self.sizes.append(float(size))
        return {"losses/policy_loss": -gain, "losses/approx_kl": kl, "losses/step_size": size}


def conjugate_gradient(product, target, iterations):
    """Solve product(x) = target."""
    x, residual, direction = torch.zeros_like(target), target, target
    for _ in range(iterations):
        square = residual @ residual
        if square < 1e-10:
            break
        image = product(direction)
        step = square / (direction @ image)
        x, residual = x + step * direction, residual - step * image
        direction = residual + (residual @ residual) / square * direction
    return x
