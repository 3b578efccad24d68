"""All algorithms by name, and what is known of each. Adding one is a file beside this and a record here.

Nothing is imported that trains, so a report or `--help` needs no torch: `ALGORITHMS[name].load()` is the class.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ppo.algorithm import Algorithm


@dataclass(frozen=True)
class Seconds:
    """What training costs, in seconds of one core; how that was measured: experiments/planning/costs.py.

    None: as PPO.
    """

    step: float | None = None
    """per environment step, beyond what PPO takes (below zero: less)"""
    vector: float | None = None
    """per vector step, however few its runs"""
    game: float | None = None
    """per agent step of an Atari game, emulator and network together"""


@dataclass(frozen=True)
class Record:
    """One algorithm. All but `where` may be left out."""

    where: str
    """module:class"""
    label: str = ""
    """Its name in tables and legends; Figure 3's where it has the algorithm. Without one, the name it is listed by."""
    paper_curve: str = ""
    """The curve of the paper's Figure 3 that it is compared with, by the name in its legend; "" if there is none."""
    colour: str = ""
    """Its colour in every figure, #rrggbb. Without one, a colour unlike the others' is computed."""
    dashes: tuple[float, ...] = ()
    """Its line in every figure: lengths of dash, gap, dash, gap ... in line widths; () is solid."""
    peer: str = ""
    """The implementation elsewhere that it is timed against, by its name in experiments/throughput/peers.py. Without
    one its own speed is measured alone."""
    seconds: Seconds = Seconds()
    compared: bool = True
    """Whether it belongs to the comparison of Figure 3, if it can be trained with continuous actions."""

    def load(self) -> type[Algorithm]:
        """Import the class."""
        module, _, name = self.where.partition(":")
        kind: type[Algorithm] = getattr(importlib.import_module(module), name)
        return kind


REFERENCE = "ppo"
"""The paper's own algorithm: trained where no other is named, and what the others are compared with."""

DASH_DOT = (6.0, 1.4, 1.2, 1.4)
DASH_DOT_DOT = (6.0, 1.4, 1.2, 1.4, 1.2, 1.4)

ALGORITHMS = {  # in the order of Figure 3's legend, then ours; what the paper draws is solid
    "a2c": Record(
        "baselines.a2c:A2C",
        label="A2C",
        paper_curve="A2C",
        colour="#cc8400",
        peer="Stable-Baselines3 A2C",
        seconds=Seconds(step=-27e-6, vector=822e-6, game=2.4e-3),
    ),
    "a2c-trust-region": Record(
        "baselines.a2c_trust_region:A2CTrustRegion",
        label="A2C + Trust Region",
        paper_curve="A2C + Trust Region",
        colour="#e40024",
        peer="Stable-Baselines3 A2C",
        seconds=Seconds(step=-25e-6, vector=941e-6),
    ),
    "acer": Record(
        "baselines.acer:ACER",
        label="ACER",
        colour="#9c6060",
        seconds=Seconds(game=6.1e-3),
        compared=False,  # of Atari alone
    ),
    "cem": Record(
        "baselines.cem:CEM",
        label="CEM",
        paper_curve="CEM",
        colour="#909084",
        peer="sb3-contrib ARS",
        seconds=Seconds(step=-28e-6, vector=307e-6),
    ),
    "ppo": Record(
        "ppo.ppo:PPO",
        label="PPO (Clip)",
        paper_curve="PPO (Clip)",
        colour="#0078c0",
        peer="Stable-Baselines3 PPO",
        seconds=Seconds(vector=222e-6, game=4.1e-3),
    ),
    "vpg": Record(
        "baselines.vpg:VPG",
        label="Vanilla PG, Adaptive",
        paper_curve="Vanilla PG, Adaptive",
        colour="#b42490",
        peer="Stable-Baselines3 A2C, as VPG",
        seconds=Seconds(step=-20e-6, vector=203e-6),
    ),
    "trpo": Record(
        "baselines.trpo:TRPO",
        label="TRPO",
        paper_curve="TRPO",
        colour="#187800",
        peer="sb3-contrib TRPO",
        seconds=Seconds(step=-16e-6, vector=116e-6),
    ),
    "trpo-2017": Record(
        "baselines.trpo:TRPO2017",
        label="TRPO as released in 2017",
        paper_curve="TRPO",
        colour="#009cc0",
        dashes=DASH_DOT,
        peer="sb3-contrib TRPO",
        seconds=Seconds(step=-11e-6, vector=109e-6),
    ),
    "npg": Record(
        "baselines.trpo:NPG",
        label="Natural PG",
        colour="#c060fc",
        dashes=DASH_DOT_DOT,
        peer="sb3-contrib TRPO",
        seconds=Seconds(step=-13e-6, vector=110e-6),
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
