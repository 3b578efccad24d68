"""An update on a device that is not the CPU, where there is none: on PyTorch's meta device, of shapes without numbers.

A tensor that stays on the CPU is found as it would be by a GPU: an operation on both is refused. What numbers come out
only a GPU can say.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from experiments.paper.settings import ATARI, MUJOCO
from experiments.run import Run
from experiments.training.build import build
from ppo.ppo import PPO
from ppo.rollout import Batch

ALL_TERMS = {"vf_clip_range": 0.1, "kl_coef": 1.0, "kl_target": 0.01, "ent_coef": 0.01, "lr_kl_target": 0.01}
CASES = {
    "pictures": ("PongNoFrameskip-v4", {"num_envs": 2, "num_steps": 4}, ATARI["ppo"]),
    "vectors": ("Hopper-v4", {"num_steps": 16}, MUJOCO),
}


class OnOneDevice(TorchDispatchMode):
    """Refuses operations on tensors of two devices, but for those that carry over; says yes to every question."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        fused = func._overloadpacket is torch.ops.aten._fused_adam_  # other operations take numbers from the CPU
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        tensors = [tensor for tensor in tensors if tensor.dim() or fused]
        carries = func._overloadpacket in (torch.ops.aten._to_copy, torch.ops.aten.copy_)
        assert carries or len({tensor.device for tensor in tensors}) <= 1, f"{func} has tensors of two devices"
        if func is torch.ops.aten._local_scalar_dense.default and args[0].device.type == "meta":
            return 1.0 if args[0].dtype.is_floating_point else True
        return func(*args, **(kwargs or {}))


def collected(runs: list[Run]) -> Batch:
    """A batch of these runs, collected on the CPU."""
    algorithm: Any = build(runs, engine="torch")
    batches: list[Batch] = []
    algorithm.update = lambda batch: batches.append(batch) or {}
    algorithm.iterate()
    algorithm.env.close()
    return batches[0]


def moved(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().to("meta")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: moved(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    return value


@pytest.mark.parametrize("case", CASES)
def test_nothing_of_an_update_stays_behind_on_the_cpu(case: str) -> None:
    environment, size, settings = CASES[case]
    own: Any = dataclasses.replace(settings, **size, **ALL_TERMS, minibatch_size=8, update_epochs=1)
    runs = [Run(environment, "ppo", "x", seed, 1000, own) for seed in (1, 2)]
    batch = collected(runs)
    with OnOneDevice():
        algorithm = build(runs, "meta")
        assert isinstance(algorithm, PPO)
        algorithm.env.close()
        algorithm.log_metrics = True
        with torch.no_grad():
            old, _ = algorithm.policy(moved(batch.observations))
        algorithm.anneal(0.5)
        metrics = algorithm.update(dataclasses.replace(moved(batch), distribution=old))
    assert {name: value.device.type for name, value in metrics.items()} == dict.fromkeys(metrics, "meta")
    assert {"losses/grad_norm", "losses/value_loss", "losses/approx_kl"} <= set(metrics)
