"""The sweeps that chose the settings of the algorithms of Figure 3 that the paper does not give.

PPO's reward scaling was chosen among several (`experiments.paper.readings`), so that of the others is too: the sweeps
of A2C, A2C with a trust region and vanilla policy gradient are crossed with it; TRPO and the natural policy gradient,
whose other numbers are known, vary it alone. CEM has no such setting, and TRPO as released in 2017 is not tuned.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np

from baselines.a2c import A2CSettings
from baselines.a2c_trust_region import A2CTrustRegionSettings
from baselines.cem import CEMSettings
from baselines.trpo import NPGSettings, TRPOSettings
from baselines.vpg import VPGSettings
from experiments.paper.profiles import Profile
from experiments.paper.protocol import Protocol, untrained
from experiments.run import Run
from ppo.settings import Settings

Chosen = TypeVar("Chosen", bound=Settings)

SWEPT_ENVIRONMENTS = ("HalfCheetah-v4", "Hopper-v4")
SWEEP_SEED = 201  # none is used in a table of results


@dataclass(frozen=True)
class Sweep:
    """Settings of one algorithm that are compared with each other. Of several sweeps of an algorithm the longest
    decides."""

    algorithm: str
    settings: Mapping[str, Settings]
    """by a descriptive name"""
    fraction: float = 0.2
    """of the profile's budget"""
    seeds: tuple[int, ...] = (SWEEP_SEED,)
    """one is enough if a setting is judged together with its neighbours"""


Scaling = Literal["none", "reset", "never-reset"]
SCALINGS: tuple[Scaling, ...] = ("none", "reset", "never-reset")


def combined(settings: Chosen, **values: tuple[Any, ...]) -> dict[str, Chosen]:
    """Change ``settings`` to every combination of ``values``, by a descriptive name."""
    combinations = [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]
    return {
        ",".join(f"{name}={value}" for name, value in changes.items()): replace(settings, **changes)
        for changes in combinations
    }


def _scaled(
    settings: A2CTrustRegionSettings | VPGSettings, first: Scaling, **values: tuple[Any, ...]
) -> dict[str, Settings]:
    """Change ``settings`` to every combination of ``values`` with each reward scaling. The sweep with scaling ``first``
    was trained before there were others, so its names omit it."""
    others = tuple(scaling for scaling in SCALINGS if scaling != first)
    return {
        **combined(replace(settings, norm_reward=first), **values),
        **combined(settings, norm_reward=others, **values),
    }


def _rates(lowest: float, highest: float, count: int) -> tuple[float, ...]:
    """Return learning rates in equal ratios, to three digits."""
    return tuple(float(f"{rate:.3g}") for rate in np.geomspace(lowest, highest, count))


_A2C_RATES = _rates(1e-4, 7.93e-3, 10)
_ANNEALED = (False, True)
# ACER searched 0.1 to 2. Twice the largest was chosen, 2 and then 8, so the sweep goes on
_DELTAS = (0.01, 0.1, 0.5, 2.0, 8.0, 32.0, 128.0)
_KLS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512)
_LAMBDAS = (0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.97, 1.0)
_STDS = (0.03, 0.1, 0.3, 1.0)

SWEEPS = (
    Sweep("a2c", combined(A2CSettings(anneal_lr=False, norm_reward="reset"), learning_rate=_rates(3e-5, 3e-2, 32))),
    Sweep(  # over the whole budget, on which rates that are best at a fifth of it diverge
        "a2c",
        {
            **combined(A2CSettings(norm_reward="reset"), learning_rate=_A2C_RATES, anneal_lr=_ANNEALED),
            **combined(  # without the two lowest rates, with which "reset" is far from its best
                A2CSettings(), norm_reward=("none", "never-reset"), learning_rate=_A2C_RATES[2:], anneal_lr=_ANNEALED
            ),
        },
        fraction=1.0,
    ),
    Sweep(
        "a2c-trust-region",
        _scaled(A2CTrustRegionSettings(), "reset", learning_rate=_rates(1e-4, 1e-2, 8), trust_region_delta=_DELTAS),
    ),
    # two steps past what each sweep before chose: first (by a wrong KL) its largest KL, 0.032, and its smallest lambda,
    # 0.9; then again its largest, 0.128, and its smallest, 0.6
    Sweep("vpg", _scaled(VPGSettings(), "none", desired_kl=_KLS, gae_lambda=_LAMBDAS)),
    Sweep(
        "cem",
        {
            **combined(CEMSettings(), population=(20, 50, 200), deterministic=(True, False), initial_std=_STDS),
            **combined(
                CEMSettings(), network=("64-64",), population=(50,), deterministic=(True, False), initial_std=(0.1, 0.3)
            ),
        },
    ),
    # reward scalings have no order and so no neighbours: three seeds instead
    Sweep("trpo", combined(TRPOSettings(), norm_reward=SCALINGS), fraction=1.0, seeds=(SWEEP_SEED, 202, 203)),
    Sweep("npg", combined(NPGSettings(), norm_reward=SCALINGS), fraction=1.0, seeds=(SWEEP_SEED, 202, 203)),
)


def tuning(profile: Profile) -> Protocol:
    """Plan the sweeps."""
    trained = tuple(
        Run(environment, sweep.algorithm, setting, seed, round(sweep.fraction * profile.total_timesteps), settings)
        for sweep in SWEEPS
        for environment in SWEPT_ENVIRONMENTS
        for setting, settings in sweep.settings.items()
        for seed in sweep.seeds
    )
    return Protocol("tuning", trained, untrained(profile, SWEPT_ENVIRONMENTS, (SWEEP_SEED,)))
