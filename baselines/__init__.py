"""All algorithms by name, one record each. To add one, write a file beside this and a record here.

No algorithm is imported, so a report or `--help` needs no torch: `ALGORITHMS[name].load()` returns the class.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ppo.algorithm import Algorithm


@dataclass(frozen=True)
class Seconds:
    """The cost of training, in seconds of one core; measured as in experiments/planning/costs.py.

    None: the same as PPO.
    """

    step: float | None = None
    """per environment step, in addition to PPO's (may be negative)"""
    vector: float | None = None
    """per vector step, for any number of runs"""
    game: float | None = None
    """per agent step of an Atari game, emulator and network together"""


@dataclass(frozen=True)
class Record:
    """An algorithm. All fields but `where` are optional."""

    where: str
    """module:class"""
    label: str = ""
    """Name in tables and legends, for an algorithm of Figure 3 its name there. Default: the key in `ALGORITHMS`."""
    paper_curve: str = ""
    """Curve of the paper's Figure 3 that it is compared with, by its name in the legend; "" for none."""
    colour: str = ""
    """Colour in every figure, #rrggbb. Default: computed, distinct from the others."""
    dashes: tuple[float, ...] = ()
    """Line in every figure: lengths of dash, gap, dash, gap ... in line widths; () is solid."""
    peer: str = ""
    """Another library's implementation to compare speed with, by its name in experiments/throughput/peers.py. Default:
    none; the algorithm's speed is measured alone."""
    seconds: Seconds = Seconds()
    compared: bool = True
    """Whether it is trained for Figure 3, if it allows continuous actions."""
    few_steps: Mapping[str, Any] = field(default_factory=dict)
    """Settings with which it learns in 20,000 steps, where its defaults need more; for the test that it learns."""

    def load(self) -> type[Algorithm]:
        """Import the class. Raises ``ValueError`` if it is no algorithm."""
        module, _, name = self.where.partition(":")
        kind: type[Algorithm] | None = getattr(importlib.import_module(module), name, None)
        if not (isinstance(kind, type) and hasattr(kind, "Settings")):
            raise ValueError(
                f"{self.where} is no algorithm: a class that derives from ppo.algorithm.Algorithm is needed"
            )
        from ppo.settings import SettingsError, check_declared

        try:
            check_declared(kind.Settings)
        except SettingsError as error:
            raise ValueError(f"{self.where} cannot be trained: {error}") from None
        if inspect.isabstract(kind):
            missing = ", ".join(f"{name}()" for name in sorted(kind.__abstractmethods__))
            raise ValueError(f"{self.where} cannot be trained: it lacks {missing}")
        return kind


REFERENCE = "ppo"
"""The paper's algorithm: the default of commands, and the one that the others are compared with."""

DASH_DOT = (6.0, 1.4, 1.2, 1.4)
DASH_DOT_DOT = (6.0, 1.4, 1.2, 1.4, 1.2, 1.4)

ALGORITHMS = {  # in the order of Figure 3's legend, then the others; lines of the paper's algorithms are solid
    "a2c": Record(
        "baselines.a2c:A2C",
        label="A2C",
        paper_curve="A2C",
        colour="#cc8400",
        peer="Stable-Baselines3 A2C",
        seconds=Seconds(step=0.4e-6, vector=255e-6, game=2.4e-3),
        few_steps={"learning_rate": 2e-3, "anneal_lr": False},
    ),
    "a2c-trust-region": Record(
        "baselines.a2c_trust_region:A2CTrustRegion",
        label="A2C + Trust Region",
        paper_curve="A2C + Trust Region",
        colour="#e40024",
        peer="Stable-Baselines3 A2C",
        seconds=Seconds(step=-10.7e-6, vector=828e-6),
    ),
    "acer": Record(
        "baselines.acer:ACER",
        label="ACER",
        colour="#9c6060",
        seconds=Seconds(game=6.1e-3),
        compared=False,  # of Atari alone
        few_steps={"num_envs": 4, "replay_start": 200, "learning_rate": 3e-3},
    ),
    "cem": Record(
        "baselines.cem:CEM",
        label="CEM",
        paper_curve="CEM",
        colour="#909084",
        peer="sb3-contrib ARS",
        seconds=Seconds(step=-13.6e-6, vector=55e-6),
        few_steps={"initial_std": 0.3},
    ),
    "ppo": Record(
        "ppo.ppo:PPO",
        label="PPO (Clip)",
        paper_curve="PPO (Clip)",
        colour="#0078c0",
        peer="Stable-Baselines3 PPO",
        seconds=Seconds(vector=34e-6, game=4.1e-3),
    ),
    "vpg": Record(
        "baselines.vpg:VPG",
        label="Vanilla PG, Adaptive",
        paper_curve="Vanilla PG, Adaptive",
        colour="#b42490",
        peer="Stable-Baselines3 A2C, as VPG",
        seconds=Seconds(step=0.9e-6, vector=0.0),
        few_steps={"num_steps": 500},
    ),
    "trpo": Record(
        "baselines.trpo:TRPO",
        label="TRPO",
        paper_curve="TRPO",
        colour="#187800",
        peer="sb3-contrib TRPO",
        seconds=Seconds(step=-5.3e-6, vector=22e-6),
    ),
    "trpo-2017": Record(
        "baselines.trpo:TRPO2017",
        label="TRPO as released in 2017",
        paper_curve="TRPO",
        colour="#009cc0",
        dashes=DASH_DOT,
        peer="sb3-contrib TRPO",
        seconds=Seconds(step=1.9e-6, vector=90e-6),
    ),
    "npg": Record(
        "baselines.trpo:NPG",
        label="Natural PG",
        colour="#c060fc",
        dashes=DASH_DOT_DOT,
        peer="sb3-contrib TRPO",
        seconds=Seconds(step=-6.2e-6, vector=51e-6),
    ),
    "per-sample-kl": Record(
        "baselines.per_sample_kl:PerSampleKL",
        label="PPO (per-sample KL)",
        colour="#840cfc",
        dashes=DASH_DOT,
        seconds=Seconds(vector=500e-6),  # not fitted: 708 us of CPU for three runs on HalfCheetah, of which 70 each
        compared=False,  # not the paper's
    ),
}


def record_of(name: str) -> Record:
    """Return the record of an algorithm: one that is listed, or of the user's own, ``MODULE:CLASS``, which is known by
    its class alone. Raises ``KeyError``.

    Its class is imported by `load` only: whoever calls that for a name from a file sees to it that it was asked for.
    """
    return Record(name, label=name.partition(":")[2]) if ":" in name else ALGORITHMS[name]
