"""Names of algorithms, settings and tasks in the paper, and their order."""

from __future__ import annotations

from collections.abc import Iterable

import baselines

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

PAPER_SEEDS = (1, 2, 3)
"""Sections 6.1 and 6.2 train three seeds: these of ours are compared with the paper's numbers."""

UNTRAINED = "untrained"
"""The setting under which the random level is stored: the untrained policy, sigma = 1, raw actions."""

_SETTINGS = {
    "none": "No clipping or penalty",
    "clip-0.1": "Clipping, ε = 0.1",
    "clip-0.2": "Clipping, ε = 0.2",
    "clip-0.3": "Clipping, ε = 0.3",
    "adaptive-kl-0.003": "Adaptive KL d_targ = 0.003",
    "adaptive-kl-0.01": "Adaptive KL d_targ = 0.01",
    "adaptive-kl-0.03": "Adaptive KL d_targ = 0.03",
    "fixed-kl-0.3": "Fixed KL, β = 0.3",
    "fixed-kl-1": "Fixed KL, β = 1",
    "fixed-kl-3": "Fixed KL, β = 3",
    "fixed-kl-10": "Fixed KL, β = 10",
}
"""Each row of Table 1 with its printed name."""

SETTINGS = tuple(_SETTINGS)
ALGORITHMS = tuple(baselines.ALGORITHMS)


def setting_name(setting: str) -> str:
    """Return the paper's printed name of a setting (Table 1); the setting itself if the paper has none."""
    return _SETTINGS.get(setting, setting)


def algorithm_name(algorithm: str) -> str:
    """Return the label of an algorithm's record, that of Figure 3's legend; the algorithm itself if there is none."""
    record = baselines.ALGORITHMS.get(algorithm)
    own = algorithm.partition(":")[2]  # somebody's own, MODULE:CLASS
    return record.label or algorithm if record else own or algorithm


def paper_curve(algorithm: str) -> str:
    """Return the name of the curve in the paper's Figure 3 that an algorithm is compared with; "" for none."""
    record = baselines.ALGORITHMS.get(algorithm)
    return record.paper_curve if record else ""


_ATARI = "NoFrameskip"


def task(environment: str) -> str:
    """Return the task without its version, as in the paper: 'HalfCheetah-v4' -> 'HalfCheetah'.

    Of an Atari game, its name in Table 6: 'AlienNoFrameskip-v4' -> 'Alien'.
    """
    name, dash, version = environment.rpartition("-v")
    return name.removesuffix(_ATARI) if dash and version.isdigit() else environment


def without_arguments(environment: str) -> str:
    """Return the id of an environment: 'RoboschoolHumanoid-v0(rules=1)' -> 'RoboschoolHumanoid-v0'."""
    return environment.partition("(")[0]


def change_name(setting: str, unchanged: str = "default") -> str:
    """Return what a setting of an experiment changes, for a table: 'ent_coef=0.001' -> 'ent_coef: 0.001'."""
    return "nothing" if setting == unchanged else setting.replace("=", ": ").replace(",", ", ")


def frames_per_step(environment: str) -> int:
    """Return the frames of the emulator in a step of the agent: 4 on Atari, where the paper counts frames; else 1."""
    return 4 if _ATARI in environment else 1


def ordered(names: Iterable[str], known: tuple[str, ...]) -> list[str]:
    """Return the distinct names in the order of ``known``, followed by the others in alphabetical order."""
    distinct = set(names)
    return [name for name in known if name in distinct] + sorted(distinct - set(known))


def values(setting: str) -> dict[str, str]:
    """Split 'learning_rate=0.0007,ema_decay=0.9' into {'learning_rate': '0.0007', ...}; {} for a plain name."""
    pairs = (part.partition("=") for part in setting.split(",") if "=" in part)
    return {name.strip(): value.strip() for name, _, value in pairs}
