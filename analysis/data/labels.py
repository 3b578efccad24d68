"""What things are called: the paper's names, the order it lists them in, and the colour each keeps in every figure.

Colours: the Okabe-Ito palette (told apart under all common colour blindness) for algorithms; for the eleven settings of
Table 1 one hue per family, darker for the weaker constraint, so that a family is recognised before its member is.
"""

from __future__ import annotations

from collections.abc import Iterable

ENVIRONMENTS = (
    "HalfCheetah",
    "Hopper",
    "InvertedDoublePendulum",
    "InvertedPendulum",
    "Reacher",
    "Swimmer",
    "Walker2d",
)
"""The seven tasks of sections 6.1 and 6.2, in the order of Figure 3. The paper ran version v1 of each."""

UNTRAINED = "untrained"
"""The setting under which the random level is stored: the untrained policy, sigma = 1, raw actions."""

# Each setting: the paper's printed name (Table 1) and its colour.
_SETTINGS = {
    "none": ("No clipping or penalty", "#000000"),
    "clip-0.1": ("Clipping, ε = 0.1", "#86bfe6"),
    "clip-0.2": ("Clipping, ε = 0.2", "#2f83c4"),
    "clip-0.3": ("Clipping, ε = 0.3", "#0b3f77"),
    "adaptive-kl-0.003": ("Adaptive KL d_targ = 0.003", "#f8c471"),
    "adaptive-kl-0.01": ("Adaptive KL d_targ = 0.01", "#e58a12"),
    "adaptive-kl-0.03": ("Adaptive KL d_targ = 0.03", "#974c00"),
    "fixed-kl-0.3": ("Fixed KL, β = 0.3", "#4b1d63"),
    "fixed-kl-1": ("Fixed KL, β = 1", "#86459f"),
    "fixed-kl-3": ("Fixed KL, β = 3", "#bb83cc"),
    "fixed-kl-10": ("Fixed KL, β = 10", "#e0bfe8"),
}

# Each algorithm: its name in Figure 3's legend (or ours, where the figure has no such curve) and its colour.
_ALGORITHMS = {
    "a2c": ("A2C", "#E69F00"),
    "a2c-trust-region": ("A2C + Trust Region", "#D55E00"),
    "acer": ("ACER", "#882255"),  # in Figure 6 only; from Tol's palette, as the Okabe-Ito colours are used up
    "cem": ("CEM", "#7F7F7F"),
    "ppo": ("PPO (Clip)", "#0072B2"),
    "vpg": ("Vanilla PG, Adaptive", "#CC79A7"),
    "trpo": ("TRPO", "#009E73"),
    "trpo-2017": ("TRPO as released in 2017", "#7FCEB9"),  # TRPO's hue, lighter
    "npg": ("Natural PG", "#56B4E9"),
    "per-sample-kl": ("PPO (per-sample KL)", "#332288"),  # in no figure of the paper; Tol's palette
}

_IN_THE_PAPER = {"trpo-2017": "TRPO"}  # what of Figure 3 it is compared with, where the name differs

SETTINGS = tuple(_SETTINGS)
ALGORITHMS = tuple(_ALGORITHMS)


def setting_name(setting: str) -> str:
    """The paper's printed name of a setting (Table 1); the setting itself where the paper has none."""
    return _SETTINGS[setting][0] if setting in _SETTINGS else setting


def setting_colour(setting: str) -> str:
    return _SETTINGS[setting][1] if setting in _SETTINGS else "#4D4D4D"


def algorithm_name(algorithm: str) -> str:
    """The algorithm's name in Figure 3's legend; the algorithm itself where there is none."""
    return _ALGORITHMS[algorithm][0] if algorithm in _ALGORITHMS else algorithm


def paper_name(algorithm: str) -> str:
    """The name of the curve in the paper's Figure 3 that an algorithm is compared with. Both TRPOs have the same."""
    return _IN_THE_PAPER.get(algorithm, algorithm_name(algorithm))


def algorithm_colour(algorithm: str) -> str:
    return _ALGORITHMS[algorithm][1] if algorithm in _ALGORITHMS else "#4D4D4D"


_ATARI = "NoFrameskip"


def task(environment: str) -> str:
    """The task without its version, by which ours meets the paper's -v1: 'HalfCheetah-v4' -> 'HalfCheetah'.

    And the game as the paper's Table 6 names it: 'AlienNoFrameskip-v4' -> 'Alien'.
    """
    name, dash, version = environment.rpartition("-v")
    return name.removesuffix(_ATARI) if dash and version.isdigit() else environment


def frames_per_step(environment: str) -> int:
    """Frames of the emulator in a step of the agent: 4 on Atari, where the paper counts frames; 1 elsewhere."""
    return 4 if _ATARI in environment else 1


def ordered(found: Iterable[str], known: tuple[str, ...]) -> list[str]:
    """The distinct names in the paper's order, those unknown to the paper after them by alphabet."""
    distinct = set(found)
    return [name for name in known if name in distinct] + sorted(distinct - set(known))
