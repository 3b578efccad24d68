"""The same networks in torch.nn, one run at a time, as what the stack is compared with."""

from itertools import pairwise

import torch


class Reference:
    """One run's networks as torch.nn modules in float64, filled from its row in the order that the docs state."""

    def __init__(self, row, sizes_actor, log_std, sizes_critic):
        self.row, self.position = row.detach().double(), 0
        self.actor = self.network(sizes_actor)
        self.log_std = self.take(log_std).clone().requires_grad_()
        self.critic = self.network(sizes_critic)
        assert len(row) - self.position < 16, "apart from padding, the row is used up"

    def take(self, count):
        self.position += count
        return self.row[self.position - count : self.position]

    def network(self, sizes):
        modules = []
        for n_in, n_out in pairwise(sizes):
            layer = torch.nn.Linear(n_in, n_out, dtype=torch.float64)
            with torch.no_grad():
                layer.weight.copy_(self.take(n_in * n_out).view(n_in, n_out).T)
                layer.bias.copy_(self.take(n_out))
            modules += [layer, torch.nn.Tanh()]
        return torch.nn.Sequential(*modules[:-1])

    def gradient(self):
        """Laid out as the row is."""
        parts = []
        for network in (self.actor, None, self.critic):
            if network is None:
                parts.append(self.log_std.grad if self.log_std.grad is not None else torch.zeros_like(self.log_std))
                continue
            for layer in network:
                if isinstance(layer, torch.nn.Linear):
                    grad = [p.grad if p.grad is not None else torch.zeros_like(p) for p in (layer.weight, layer.bias)]
                    parts += [grad[0].T.reshape(-1), grad[1]]
        used = torch.cat(parts)
        return torch.cat([used, torch.zeros(len(self.row) - len(used))])


def references(policy, parameters=None):
    """Of every run; with ``parameters`` ``[runs, P]`` in place of the policy's own."""
    sizes = [policy.networks[name].sizes for name in ("actor", "critic")]
    free = 0 if policy.discrete else policy.action_size
    return [
        Reference(row, sizes[0], free, sizes[1]) for row in (policy.parameters if parameters is None else parameters)
    ]
