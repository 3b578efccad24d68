"""A check of shapes, for public functions of tensors: 8 us, so not for those that run at every environment step."""

from typing import Any

from numpy.typing import NDArray
from torch import Tensor


def check_shapes(**arrays: tuple[Tensor | NDArray[Any], str]) -> None:
    """Raise a one-line ``ValueError`` unless every array has its shape, as in ``ratio=(ratio, "runs batch")``.

    A word is the same size in all arrays, and ``1`` is 1; ``...`` at the end is any further sizes, the same in all.
    """
    sizes: dict[str, Any] = {"1": 1}
    for name, (array, shape) in arrays.items():
        words, actual = shape.split(), tuple(array.shape)
        if words[-1] == "...":
            actual = (*actual[: len(words) - 1], actual[len(words) - 1 :])
        needed = [sizes.setdefault(word, size) for word, size in zip(words, actual, strict=False)]
        if len(actual) != len(words) or needed != list(actual):
            known = ", ".join(f"{word} = {size}" for word, size in sizes.items() if word in words and word != "1")
            raise ValueError(f"{name} has shape {list(array.shape)}, needed is [{', '.join(words)}] with {known}")
