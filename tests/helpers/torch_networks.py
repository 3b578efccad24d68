"""The same networks in torch.nn, one run at a time, as what the stack is compared with."""

from collections.abc import Sequence
from itertools import pairwise

import torch

from ppo.policies import ActorCritic


class Reference:
    """One run's networks as torch.nn modules in float64, filled from its row in the order that the docs state."""

    def __init__(
        self, row: torch.Tensor, sizes_actor: Sequence[int], log_std: int, sizes_critic: Sequence[int]
    ) -> None:
        self.actor, self.critic = tanh_network(sizes_actor), tanh_network(sizes_critic)
        self.log_std = torch.zeros(log_std, dtype=torch.float64, requires_grad=True)
        self.fill(row)

    def parameters(self) -> list[torch.Tensor]:
        """In the row's order."""
        return [*self.actor.parameters(), self.log_std, *self.critic.parameters()]

    def fill(self, row: torch.Tensor) -> None:
        """Copy the weights of ``row`` into the modules."""
        sizes = [parameter.numel() for parameter in self.parameters()]
        self.padding = len(row) - sum(sizes)
        assert 0 <= self.padding < 16, "apart from padding, the row is used up"
        pieces = torch.split(row.detach().double()[: sum(sizes)], sizes)
        for parameter, piece in zip(self.parameters(), pieces, strict=True):
            parameter.data.copy_(piece.view(parameter.t().shape).t())  # a row has a layer's weights as [in, out]

    def laid_out(self, values: Sequence[torch.Tensor]) -> torch.Tensor:
        """Arrange ``values``, a tensor for each parameter, as a row."""
        return torch.cat([*(value.t().reshape(-1) for value in values), torch.zeros(self.padding)])

    def values(self) -> torch.Tensor:
        return self.laid_out([parameter.detach() for parameter in self.parameters()])

    def gradient(self) -> torch.Tensor:
        return self.laid_out([torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters()])


def tanh_network(sizes: Sequence[int]) -> torch.nn.Sequential:
    modules: list[torch.nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        modules += [torch.nn.Linear(n_in, n_out, dtype=torch.float64), torch.nn.Tanh()]
    return torch.nn.Sequential(*modules[:-1])


def references(policy: ActorCritic, parameters: torch.Tensor | None = None) -> list[Reference]:
    """Of every run; with ``parameters`` ``[runs, P]`` in place of the policy's own."""
    sizes = [policy.networks[name].sizes for name in ("actor", "critic")]
    free = 0 if policy.discrete else policy.action_size
    return [
        Reference(row, sizes[0], free, sizes[1]) for row in (policy.parameters if parameters is None else parameters)
    ]
