"""How settings are declared, and what is read from that: bounds, messages, stacking, what algorithms see."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

import pytest
import torch

from baselines import ALGORITHMS
from ppo.settings import PerRun, Settings, SettingsError, Shared, declared, setting

INF, NAN = math.inf, math.nan


@dataclass(frozen=True)
class Declared(Settings):
    rate: float = setting(0.1, at_least=0)
    norm: float = setting(1.0, above=0, inf="no clipping")
    decay: float = setting(0.5, at_least=0, below=1)
    part: float = setting(0.5, above=0, at_most=1)
    offset: float = setting(-1.0)
    eps: float = setting(1e-5, above=0, shared=True)
    count: int = setting(3, at_least=2)
    kind: Literal["one", "other"] = "one"
    free: float = 7.0


@dataclass(frozen=True)
class Inheriting(Declared):
    count: int = 9
    eps: float = 1e-3
    norm: float = 2.0


ALLOWED = {
    "rate": (0.0, 1e9),
    "norm": (1e-9, INF),
    "decay": (0.0, 0.999),
    "part": (0.001, 1.0),
    "offset": (-1e9, 0.0, 5.0),
    "eps": (1e-8,),
    "count": (2, 100),
    "kind": ("one", "other"),
    "free": (-INF, NAN, 3.0),
}
REFUSED = {  # name -> values, and what the message says is right
    "rate": ((-0.1, INF, NAN), "at least 0 and finite"),
    "norm": ((0.0, -1.0, -INF, NAN), "greater than 0 (inf for no clipping)"),
    "decay": ((-0.1, 1.0, INF, NAN), "at least 0 and less than 1"),
    "part": ((0.0, 1.1, NAN), "greater than 0 and at most 1"),
    "offset": ((INF, -INF, NAN), "finite"),
    "eps": ((0.0, INF), "greater than 0 and finite"),
    "count": ((1, -5), "at least 2"),
    "kind": (("neither",), "one or other"),
}


@pytest.mark.parametrize("kind", [Declared, Inheriting])
@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ALLOWED.items() for value in values])
def test_what_is_within_bounds_can_be_trained(kind, name, value):
    kind(**{name: value}).check()


@pytest.mark.parametrize("kind", [Declared, Inheriting])
@pytest.mark.parametrize(
    ("name", "value", "right"), [(name, value, right) for name, (values, right) in REFUSED.items() for value in values]
)
def test_what_is_not_is_refused_in_words(kind, name, value, right):
    """Also by a class that only sets other defaults."""
    with pytest.raises(SettingsError) as error:
        kind(**{name: value}).check()
    assert str(error.value) == f"{name} = {value} cannot be trained: it must be {right}"


@pytest.mark.parametrize("kind", [Declared, Inheriting])
def test_a_stack_shares_all_but_floats_and_those_that_say_so(kind):
    own = {"rate", "norm", "decay", "part", "offset", "free", "clip_obs"}
    shared = dict(kind().structure())
    assert set(shared) == {field.name for field in dataclasses.fields(kind)} - own
    assert shared["eps"] == kind().eps


def test_algorithms_reach_a_setting_in_one_way():
    settings = [Declared(rate=0.25), Declared(rate=0.5)]
    shared, per_run = Shared(settings[0]), PerRun(settings, torch.device("cpu"))
    assert torch.equal(per_run.rate, torch.tensor([[0.25], [0.5]]))
    assert shared.count == 3
    assert shared.eps == 1e-5
    with pytest.raises(AttributeError, match=r"is it per_run\.rate\?"):
        _ = shared.rate
    with pytest.raises(AttributeError, match=r"is it shared\.count\?"):
        _ = per_run.count


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_number_of_an_algorithm_has_its_bounds(name):
    numbers = [own for own in declared(ALGORITHMS[name].load().Settings).values() if own.kind in (int, float)]
    assert len(numbers) > 5
    assert not [own.name for own in numbers if own.bounds is None]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_all_settings_of_an_algorithm_stand_in_its_file(name):
    """Beside those that every algorithm has; a variant in the same file may set other defaults."""
    kind = ALGORITHMS[name].load().Settings
    own = {field.name for field in dataclasses.fields(kind)} - {field.name for field in dataclasses.fields(Settings)}
    homes = [cls for cls in kind.__mro__ if own <= set(vars(cls).get("__annotations__", {}))]
    assert homes, f"no class has all of {sorted(own)}"
    assert homes[0].__module__ == kind.__module__
    assert homes[0].__bases__ == (Settings,)
