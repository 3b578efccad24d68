"""What an algorithm can be told. A setting is declared once, as a field: type, bounds, and whether a stack shares it.

Checks, command-line flags, JSON and the grouping of runs into stacks all read that declaration.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

from ppo.stacked.convolutional import ARCHITECTURES

T = TypeVar("T")


class SettingsError(ValueError):
    """Settings that cannot be trained; the message names the setting, its value and what would be right."""


@dataclass(frozen=True)
class Bounds:
    """The numbers that can be trained: within what is not None, and finite unless ``inf`` says what infinity means."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    inf: str = ""

    def __contains__(self, value: float) -> bool:
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
            and (math.isfinite(value) or (value == math.inf and self.inf != ""))
        )

    def words(self, whole: bool) -> str:
        """Say it; ``whole``: of whole numbers, which are finite anyway."""
        named = {
            "at least": self.at_least,
            "greater than": self.above,
            "at most": self.at_most,
            "less than": self.below,
        }
        parts = [f"{words} {bound:g}" for words, bound in named.items() if bound is not None]
        if not whole and not self.inf and self.at_most is None and self.below is None:
            parts.append("finite")
        return " and ".join(parts) + (f" (inf for {self.inf})" if self.inf else "")


def setting(
    default: T,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    inf: str = "",
    shared: bool = False,
    added: bool = False,
) -> T:
    """Declare a field of a ``Settings`` class, a number with its bounds.

    ``inf``: what infinity means; without it a number is finite. ``shared``: of a float that has one value in a stack.
    ``added``: runs were recorded before the setting existed, so it is left out of what is stored while it is at its
    default; their keys stay, and trainings that were begun go on.
    """
    bounds = Bounds(at_least, above, at_most, below, inf)
    return field(default=default, metadata={"bounds": bounds, "shared": shared, "added": added})


@dataclass(frozen=True)
class Setting:
    """A setting as its class declares it."""

    name: str
    kind: type
    """bool, int, float or str"""
    default: Any
    choices: tuple[str, ...]
    """of a ``Literal``"""
    bounds: Bounds | None
    shared: bool
    """whether the runs of a stack have one value. Floats may differ; all others decide shapes or the order of things"""
    added: bool
    """whether it is left out of what is stored while it is at its default"""

    def allows(self, value: Any) -> bool:
        """Return whether ``value`` can be trained, as far as this setting alone decides it."""
        return value in self.choices if self.choices else self.bounds is None or value in self.bounds

    @property
    def allowed(self) -> str:
        """What can be trained, in words."""
        if self.choices or self.bounds is None:
            return " or ".join(self.choices)
        return self.bounds.words(whole=self.kind is int)


def declared(kind: "type[Settings]") -> dict[str, Setting]:
    """Return every setting of a class, by name. A subclass that only sets another default keeps the declaration."""
    return _declared(kind)  # type: ignore[arg-type]  # mypy takes the classes of dataclasses for unhashable


@functools.cache
def _declared(kind: Any) -> dict[str, Setting]:
    hints, settings = get_type_hints(kind), {}  # a module with postponed annotations has them as text
    for own in dataclasses.fields(kind):
        hint, told = hints[own.name], _metadata(kind, own.name)
        choices = get_args(hint) if get_origin(hint) is Literal else ()
        settings[own.name] = Setting(
            name=own.name,
            kind=str if choices else hint,
            default=own.default,
            choices=choices,
            bounds=told.get("bounds"),
            shared=hint is not float or told.get("shared", False),
            added=told.get("added", False),
        )
    return settings


def _metadata(kind: type[Any], name: str) -> Mapping[str, Any]:
    """Return what ``setting`` was told, of the nearest class that called it."""
    levels = [vars(cls).get("__dataclass_fields__", {}).get(name) for cls in kind.__mro__]
    return next((own.metadata for own in levels if own is not None and own.metadata), {})


@dataclass(frozen=True)
class Settings:
    """What every algorithm can be told."""

    num_envs: int = setting(1, at_least=1)
    """environments that each run steps in parallel (the paper's actors)"""
    num_steps: int = setting(2048, at_least=1)
    """steps of each environment in an iteration, after which the training may be stopped"""
    norm_obs: bool = True
    """whether observations are normalised by their running mean and standard deviation, and clipped to +-clip_obs"""
    clip_obs: float = setting(10.0, above=0, inf="no clipping")
    """bound of the normalised observations"""
    obs_filter: Literal["step", "batch"] = "step"
    """when their mean and deviation are renewed: at every step (openai/baselines' ppo2), or once per batch, after which
    the old policy is evaluated anew (its ppo1 and trpo_mpi)"""

    clip_actions: bool = False
    """whether continuous actions are clipped to the environment's bounds on their way to it, as openai/baselines does
    only from 9b68103 (2019-05-08) on; learning sees the actions as they were drawn"""

    network: str = "64-64"
    """64-64: units of the hidden layers of policy and value, each with its own (sec. 6.1), as many layers as there are
    numbers; linear: none; nature or a3c: the convolutional network that they share (sec. 6.4)"""
    activation: Literal["tanh", "relu"] = "tanh"
    """of the hidden units; convolutional networks have relu"""

    initialisation: Literal["orthogonal", "column-norm"] = "orthogonal"
    """weights at first: orthogonal, of gain sqrt 2 (openai/baselines' ppo2), or each unit's incoming weights normal and
    of norm 1 (its ppo1 and trpo_mpi); the policy's head is a hundredth of that"""

    backward_dtype: Literal["float32", "bfloat16"] = "float32"
    """in which the gradients of convolutional networks are computed; what goes forward is float32"""

    sees_pictures: ClassVar[bool] = True
    """Whether ``network`` may be one for pictures."""
    obs_filters: ClassVar[tuple[str, ...]] = ("step", "batch")
    """What the algorithm can be told as ``obs_filter``."""

    @property
    def samples_actions(self) -> bool:
        """Whether the policy is trained to draw its actions; if not, to take the most likely one."""
        return True

    def check(self) -> None:
        """Raise ``SettingsError`` for settings that cannot be trained."""
        for own in declared(type(self)).values():
            require(self, own.name, own.allows(getattr(self, own.name)), own.allowed)
        pictures = tuple(ARCHITECTURES) if self.sees_pictures else ()
        known = self.network in ("linear", *pictures) or re.fullmatch(r"[1-9]\d{0,4}(-[1-9]\d{0,4})*", self.network)
        require(
            self, "network", bool(known), " or ".join(("units of hidden layers such as 64-64", "linear", *pictures))
        )
        require(self, "obs_filter", self.obs_filter in self.obs_filters, " or ".join(self.obs_filters))

    def structure(self) -> tuple[tuple[str, Any], ...]:
        """The settings that all runs of a stack share."""
        return tuple((own.name, getattr(self, own.name)) for own in declared(type(self)).values() if own.shared)


def require(settings: Settings, name: str, holds: bool, right: str) -> None:
    """Raise ``SettingsError`` unless ``holds``: one line with the setting, its value and what would be right."""
    if not holds:
        raise SettingsError(f"{name} = {getattr(settings, name)} cannot be trained: it must be {right}")


class Shared:
    """The settings that all runs of a stack share, as attributes."""

    def __init__(self, settings: Settings) -> None:
        vars(self).update(settings.structure())

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the runs of a stack do not share a setting {name}; is it per_run.{name}?")


class PerRun:
    """The settings in which the runs of a stack may differ, as attributes: tensors ``[runs, 1]``."""

    def __init__(self, settings: Sequence[Settings], device: torch.device) -> None:
        for own in declared(type(settings[0])).values():
            if not own.shared:
                values = [[float(getattr(run, own.name))] for run in settings]
                vars(self)[own.name] = torch.tensor(values, device=device)

    def __getattr__(self, name: str) -> Tensor:
        raise AttributeError(f"the runs of a stack cannot differ in a setting {name}; is it shared.{name}?")
