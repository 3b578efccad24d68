"""Settings of algorithms. A setting is declared once, as a field: type, bounds, and whether a stack shares it.

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
    """The numbers that can be trained: within the bounds that are not None; infinity only if ``inf`` has a meaning."""

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
        """Describe the bounds; ``whole``: of whole numbers, which are always finite."""
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

    ``inf``: the meaning of infinity; without one, values must be finite. ``shared``: whether a float has one value in a
    stack. ``added``: whether runs were recorded before the setting existed: it is then stored only if it differs from
    its default, so that their keys stay and unfinished trainings can continue.
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
    """the values of a ``Literal``"""
    bounds: Bounds | None
    shared: bool
    """whether the runs of a stack have one value. Floats may differ; all others decide shapes or the order of steps"""
    added: bool
    """whether it is stored only if it differs from its default"""

    def allows(self, value: Any) -> bool:
        """Return whether this setting can have ``value``."""
        return value in self.choices if self.choices else self.bounds is None or value in self.bounds

    @property
    def allowed(self) -> str:
        """The allowed values, in words."""
        if self.choices or self.bounds is None:
            return " or ".join(self.choices)
        return self.bounds.words(whole=self.kind is int)


def declared(kind: "type[Settings]") -> dict[str, Setting]:
    """Return every setting of a class, by name. A subclass that only changes a default keeps the declaration."""
    return _declared(kind)  # type: ignore[arg-type]  # to mypy, dataclasses are not hashable


@functools.cache
def _declared(kind: Any) -> dict[str, Setting]:
    hints, settings = get_type_hints(kind), {}  # a module with postponed annotations has them as text
    for declaration in dataclasses.fields(kind):
        hint, metadata = hints[declaration.name], _metadata(kind, declaration.name)
        choices = get_args(hint) if get_origin(hint) is Literal else ()
        settings[declaration.name] = Setting(
            name=declaration.name,
            kind=str if choices else hint,
            default=declaration.default,
            choices=choices,
            bounds=metadata.get("bounds"),
            shared=hint is not float or metadata.get("shared", False),
            added=metadata.get("added", False),
        )
    return settings


def _metadata(kind: type[Any], name: str) -> Mapping[str, Any]:
    """Return the arguments of ``setting`` in the nearest class that called it."""
    levels = [vars(cls).get("__dataclass_fields__", {}).get(name) for cls in kind.__mro__]
    return next((level.metadata for level in levels if level is not None and level.metadata), {})


@dataclass(frozen=True)
class Settings:
    """The settings of every algorithm."""

    num_envs: int = setting(1, at_least=1)
    """environments that each run steps in parallel (the paper's actors)"""
    num_steps: int = setting(2048, at_least=1)
    """steps of each environment in an iteration, after which the training may be stopped"""
    norm_obs: bool = True
    """whether observations are normalised by their running mean and standard deviation, and clipped to +-clip_obs"""
    clip_obs: float = setting(10.0, above=0, inf="no clipping")
    """bound of the normalised observations"""
    obs_filter: Literal["step", "batch"] = "step"
    """when their mean and deviation are updated: at every step (openai/baselines' ppo2), or once per batch, after which
    the old policy is evaluated again (its ppo1 and trpo_mpi)"""

    clip_actions: bool = False
    """whether continuous actions are clipped to the environment's bounds on their way to it, as openai/baselines does
    only from 9b68103 (2019-05-08) on; learning sees the actions as they were drawn"""
    rescale_actions: bool = setting(False, added=True)
    """whether -1 ... 1 of continuous actions is mapped onto the environment's bounds on their way to it, as Gymnasium's
    RescaleAction does; no code of 2017 did"""

    network: str = "64-64"
    """64-64: units of each hidden layer of two separate networks, for policy and value (sec. 6.1), any number of
    layers; linear: no hidden layer; nature or a3c: one convolutional network that both share (sec. 6.4)"""
    activation: Literal["tanh", "relu"] = "tanh"
    """of the hidden units; convolutional networks have relu"""

    initialisation: Literal["orthogonal", "column-norm"] = "orthogonal"
    """initial weights: orthogonal, of gain sqrt 2 (openai/baselines' ppo2), or each unit's incoming weights normal and
    of norm 1 (its ppo1 and trpo_mpi), convolutions then uniform; those of the policy's head are smaller, with gain
    0.01"""

    backward_dtype: Literal["float32", "bfloat16"] = "float32"
    """precision of the gradients of convolutional networks; their forward pass is float32"""

    sees_pictures: ClassVar[bool] = True
    """Whether ``network`` may be one for images."""
    obs_filters: ClassVar[tuple[str, ...]] = ("step", "batch")
    """The values that the algorithm allows for ``obs_filter``."""

    @property
    def samples_actions(self) -> bool:
        """Whether actions are sampled during training; if not, the most likely one is taken."""
        return True

    def check(self) -> None:
        """Raise ``SettingsError`` for settings that cannot be trained."""
        for declaration in declared(type(self)).values():
            value = getattr(self, declaration.name)
            require(self, declaration.name, declaration.allows(value), declaration.allowed)
            require(self, declaration.name, declaration.kind is not int or abs(value) < 2**53, "less than 2**53")
        pictures = tuple(ARCHITECTURES) if self.sees_pictures else ()
        known = self.network in ("linear", *pictures) or re.fullmatch(r"[1-9]\d{0,4}(-[1-9]\d{0,4})*", self.network)
        require(
            self, "network", bool(known), " or ".join(("units of hidden layers such as 64-64", "linear", *pictures))
        )
        require(self, "obs_filter", self.obs_filter in self.obs_filters, " or ".join(self.obs_filters))

    def structure(self) -> tuple[tuple[str, Any], ...]:
        """Return the settings that all runs of a stack share, as pairs."""
        return tuple(
            (declaration.name, getattr(self, declaration.name))
            for declaration in declared(type(self)).values()
            if declaration.shared
        )


def require(settings: Settings, name: str, holds: bool, right: str) -> None:
    """Raise ``SettingsError`` unless ``holds``: one line with the setting, its value and the allowed values."""
    if not holds:
        raise SettingsError(f"{name} = {getattr(settings, name)} cannot be trained: it must be {right}")


def check_declared(kind: Any) -> None:
    """Raise ``SettingsError`` if ``kind`` is no class of settings that flags and files can hold."""
    if not (isinstance(kind, type) and issubclass(kind, Settings) and dataclasses.is_dataclass(kind)):
        raise SettingsError("its Settings are no dataclass that derives from ppo.settings.Settings")
    if vars(kind).get("__annotations__") and "__dataclass_fields__" not in vars(kind):
        raise SettingsError("its Settings lack @dataclass(frozen=True), so what they declare is no setting")
    for name, declaration in declared(kind).items():
        if declaration.kind not in (bool, int, float, str):
            raise SettingsError(
                f"its setting {name} is declared as {declaration.kind}: bool, int, float or str is needed"
            )
        if declaration.default is dataclasses.MISSING:
            raise SettingsError(f"its setting {name} has no default")


class Shared:
    """The settings that all runs of a stack share, as attributes."""

    def __init__(self, settings: Settings) -> None:
        vars(self).update(settings.structure())

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the runs of a stack do not share a setting {name}; is it per_run.{name}?")


class PerRun:
    """The settings in which the runs of a stack may differ, as attributes: tensors ``[runs, 1]``."""

    def __init__(self, settings: Sequence[Settings], device: torch.device) -> None:
        for declaration in declared(type(settings[0])).values():
            if not declaration.shared:
                values = [[float(getattr(run, declaration.name))] for run in settings]
                vars(self)[declaration.name] = torch.tensor(values, device=device)

    def __getattr__(self, name: str) -> Tensor:
        raise AttributeError(f"the runs of a stack cannot differ in a setting {name}; is it shared.{name}?")
