"""Stable-Baselines3's algorithms as twins of one run: its weights, its settings, its batch."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from gymnasium.spaces import Space
from stable_baselines3.common.logger import configure
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv

from ppo.rollout import Batch
from tests.helpers.environments import Blank
from tests.helpers.torch_networks import Reference


def twin(
    kind: type[OnPolicyAlgorithm],
    space: Space[Any],
    reference: Reference,
    *,
    num_envs: int = 1,
    optimizer: Any,
    **more: Any,
) -> Any:
    """Stable-Baselines3's ``kind`` with the weights of ``reference``; ``optimizer``: its keyword arguments."""
    model = kind(
        "MlpPolicy",
        DummyVecEnv([lambda: Blank(space)] * num_envs),
        policy_kwargs={"net_arch": [64, 64], "activation_fn": torch.nn.Tanh, **optimizer},
        device="cpu",
        **more,
    )
    model.set_logger(configure(None, []))
    with torch.no_grad():
        for ours, theirs in paired(reference, model.policy):
            theirs.copy_(ours)
    return model


def paired(reference: Reference, policy: ActorCriticPolicy) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Each parameter of the reference network with Stable-Baselines3's."""
    extractor = policy.mlp_extractor
    networks = (
        (reference.actor, (*extractor.policy_net, policy.action_net)),
        (reference.critic, (*extractor.value_net, policy.value_net)),
    )
    for our_modules, their_modules in networks:
        for our_module, their_module in zip(our_modules, their_modules, strict=True):
            yield from zip(our_module.parameters(), their_module.parameters(), strict=True)
    if hasattr(policy, "log_std"):
        yield reference.log_std, policy.log_std


def as_row(reference: Reference, policy: ActorCriticPolicy, of: Callable[[Any], torch.Tensor]) -> torch.Tensor:
    """Lay out ``of`` each of Stable-Baselines3's parameters as our row is."""
    for ours, theirs in paired(reference, policy):
        ours.grad = of(theirs).detach().double()
    return reference.gradient().float()


def fill(model: OnPolicyAlgorithm, batch: Batch, run: int) -> None:
    """Put the run's part of ``batch`` into the rollout buffer."""
    buffer = model.rollout_buffer
    for name in ("observations", "actions", "values", "log_probs", "advantages", "returns"):
        array = getattr(buffer, name)
        array[...] = getattr(batch, name)[run].numpy().reshape(array.shape)
    buffer.full = True
