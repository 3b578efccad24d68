"""A batch is data: an update leaves what it learns from as it was. And minibatches are new ones at every call."""

import dataclasses
from typing import Any

import torch
from torch import Tensor

from experiments.contract.stacks import Kind, finish, run_of, tensors_of, training_of


def fields_of(batch: Any) -> dict[str, Tensor]:
    """Every tensor of a batch, or of a segment of a memory, by its path, the old policy's included."""
    tensors: dict[str, Tensor] = {}
    for field in dataclasses.fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, torch.Tensor):
            tensors[field.name] = value
        else:
            tensors |= {f"{field.name}/{name}": tensor for name, tensor in fields_of(value).items()}
    return tensors


def storages_of(state: Any) -> set[int]:
    """Where the tensors of a nested state lie in memory."""
    if isinstance(state, dict):
        return {place for value in state.values() for place in storages_of(value)}
    return {state.untyped_storage().data_ptr()} if isinstance(state, torch.Tensor) else set()


def check_update_leaves_its_batch(kind: Kind, environment: str | None = None) -> None:
    """Check the old policy in it above all: were it a view of the parameters, it would follow the new one. A memory,
    too, holds what it held."""
    training = training_of(kind, *(run_of(kind, environment, seed, variant=seed) for seed in (1, 2)))
    algorithm: Any = training.algorithm
    update, moved = algorithm.update, list[bool]()

    def memory() -> dict[str, Any]:
        return tensors_of(algorithm.memory.state(None)) if hasattr(algorithm, "memory") else {}

    def watched_update(batch: Any, *where: Any) -> Any:
        before = {path: value.clone() for path, value in fields_of(batch).items()}
        remembered, parameters = memory(), algorithm.policy.parameters.detach().clone()
        storages = storages_of({name: value for name, value in algorithm.state().items() if name != "memory"})
        metrics = update(batch, *where)
        for path, value in fields_of(batch).items():
            assert value.untyped_storage().data_ptr() not in storages, (
                f"{path} shares memory with the algorithm's state"
            )
            torch.testing.assert_close(value, before[path], rtol=0, atol=0, msg=f"{path} was changed by the update")
        for path, array in memory().items():
            assert (array == remembered[path]).all(), f"the memory's {path} was changed by the update"
        moved.append(not torch.equal(parameters, algorithm.policy.parameters))
        return metrics

    algorithm.update = watched_update
    finish(training, iterations=2)
    assert moved
    assert all(moved), "the parameters did change"


def check_minibatches_are_new_at_every_call(kind: Kind) -> None:
    """Two calls of one epoch within an update are one call of two epochs: other orders, of the same samples."""

    def orders(*calls: int) -> list[Tensor]:
        """Return the log-probabilities that minibatches bring, ``[runs, samples]`` of each epoch of the ``calls``."""
        training = training_of(kind, *(run_of(kind, seed=seed, norm_adv="none") for seed in (1, 2)))
        algorithm: Any = training.algorithm
        epochs: list[Tensor] = []

        def update(batch: Any) -> dict[str, Tensor]:
            drawn = [minibatch.log_probs for call in calls for minibatch in algorithm.minibatches(batch, call, 32)]
            epochs.extend(torch.split(torch.cat(drawn, dim=1), batch.log_probs.shape[1], dim=1))
            return {}

        algorithm.update = update
        training.iterate()
        return epochs

    (first, second), together = orders(1, 1), orders(2)
    assert torch.equal(first.sort(dim=1).values, second.sort(dim=1).values)
    for run in range(2):
        assert not torch.equal(first[run], second[run]), f"run {run}: the second call repeats the first one's order"
    assert torch.equal(torch.stack([first, second]), torch.stack(together)), "two calls of one epoch, one call of two"
