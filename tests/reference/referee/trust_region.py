"""The trust region of ACER (Wang et al. 2016, section 3.3), a projection of each state's gradient.

phi: the statistics of the policy in a state, means and log-deviations of a Gaussian, or probabilities of actions. All
derivatives with respect to phi are written out; every tensor is ``[batch, n]``.
"""

import copy
from dataclasses import dataclass

import torch


@dataclass
class Gaussian:
    mean: torch.Tensor
    log_std: torch.Tensor

    @property
    def phi(self):
        return torch.cat([self.mean, self.log_std], dim=1)

    def log_prob_slope(self, actions):
        """Of log pi(a)."""
        distance, variance = actions - self.mean, torch.exp(2 * self.log_std)
        return torch.cat([distance / variance, distance**2 / variance - 1], dim=1)

    def entropy_slope(self):
        return torch.cat([torch.zeros_like(self.mean), torch.ones_like(self.log_std)], dim=1)

    def kl_slope(self, average):
        """Of KL[average, pi]."""
        variance = torch.exp(2 * self.log_std)
        second_moment = torch.exp(2 * average.log_std) + (average.mean - self.mean) ** 2
        return torch.cat([(self.mean - average.mean) / variance, 1 - second_moment / variance], dim=1)


@dataclass
class Probabilities:
    phi: torch.Tensor

    def log_prob_slope(self, actions):
        return torch.nn.functional.one_hot(actions, self.phi.shape[1]) / self.phi

    def entropy_slope(self):
        return -self.phi.log() - 1

    def kl_slope(self, average):
        return -average.phi / self.phi


def policy_of(networks, observations):
    """Return the policy at ``observations``; gradients flow from phi into ``networks``."""
    outputs = networks.actor(observations)
    if len(networks.log_std) == 0:
        return Probabilities(outputs.softmax(dim=1))
    return Gaussian(outputs, networks.log_std.expand_as(outputs))


class TrustRegion:
    """A moving average of the weights, and the projection that limits how fast the policy moves away from it."""

    def __init__(self, networks, delta, decay):
        self.networks, self.delta, self.decay = networks, delta, decay
        self.average = networks.values()
        self.bound = self.free = 0
        """Number of states whose gradient was projected, and of states whose gradient was not."""

    def update_average(self):
        self.average = self.decay * self.average + (1 - self.decay) * self.networks.values()

    def average_policy(self, observations):
        average = copy.deepcopy(self.networks)
        average.fill(self.average)
        return policy_of(average, observations)

    @torch.no_grad()
    def projected(self, gradient, policy, observations):
        """Solve equation 12 in each state: the nearest vector to ``gradient`` that keeps the constraint."""
        slopes = policy.kl_slope(self.average_policy(observations))
        rows = []
        for g, k in zip(gradient, slopes, strict=True):
            if k @ g > self.delta:
                self.bound += 1
                rows.append(g - (k @ g - self.delta) / (k @ k) * k)
            else:
                self.free += 1
                rows.append(g)
        return torch.stack(rows)
