"""Section 6.3: the six runs of Figure 4, the short ones that choose what Table 4 leaves open, and an experiment on it.

Not given are the KL that the step size is adjusted to, the normalisation and the network. Of the first two every
combination is tried on the locomotion task. The KLs are the three of Table 1: while the KL lies between half and twice
the target the step size stays, so closer ones would train the same. Observations and rewards are normalised, as ppo2
did on MuJoCo, or not: Roboschool scales its observations itself, and the policies in its agent_zoo (2017-05) take them
as they are. The network of those policies, 256-128 relu, is trained beside 64-64 to be compared; it chooses nothing.
"""

import math
from dataclasses import replace
from typing import Any

from experiments.paper.profiles import HUMANOID_TIMESTEPS, Profile
from experiments.paper.protocol import Protocol
from experiments.paper.settings import HUMANOID
from experiments.paper.sweeps import combined
from experiments.run import Run
from ppo.ppo import PPOSettings

TUNED_ENVIRONMENT = "RoboschoolHumanoid-v0"
TUNING_SEEDS = (201, 202)
"""None of those that are reported."""

REFERENCE = replace(HUMANOID[TUNED_ENVIRONMENT], lr_kl_target=0.01, norm_obs=True, norm_reward="reset")
"""What the tried settings differ from, whatever they choose."""


def figure4(profile: Profile) -> Protocol:
    """Plan sec. 6.3: PPO with Table 4's settings on the three humanoid tasks."""
    trained = tuple(
        Run(environment, "ppo", "default", seed, steps, HUMANOID[environment])
        for environment, steps in profile.humanoid_timesteps.items()
        for seed in profile.humanoid_seeds
    )
    return Protocol("figure4", trained)


def figure4_tuning(profile: Profile) -> Protocol:
    """Plan the short runs, each the beginning of a run of Figure 4."""
    steps = profile.humanoid_tuning_timesteps
    tried = {
        **combined(REFERENCE, lr_kl_target=(0.003, 0.01, 0.03), norm_obs=(True, False), norm_reward=("reset", "none")),
        **combined(REFERENCE, network=("256-128",), activation=("relu",)),
    }
    trained = tuple(
        Run(TUNED_ENVIRONMENT, "ppo", name, seed, steps, beginning(settings, steps))
        for name, settings in tried.items()
        for seed in TUNING_SEEDS
    )
    return Protocol("figure4-tuning", trained)


CHANGES: dict[str, dict[str, Any]] = {  # name -> what it changes in the settings of Figure 4
    "default": {},
    "network=256-128,activation=relu": {"network": "256-128", "activation": "relu"},
    "lr_kl_target=0.003": {"lr_kl_target": 0.003},
    "lr_kl_target=0.03": {"lr_kl_target": 0.03},
    "norm_reward=none": {"norm_reward": "none"},
    "max_grad_norm=inf": {"max_grad_norm": math.inf},
    "vf_coef=1.0": {"vf_coef": 1.0},
    "bootstrap_truncation=True": {"bootstrap_truncation": True},
    "norm_obs=False": {"norm_obs": False},
    "norm_obs=False,network=256-128,activation=relu": {"norm_obs": False, "network": "256-128", "activation": "relu"},
}
"""What is tried on Flagrun harder, where our runs rise more slowly than the paper's; the last is what OpenAI's own
policies for these tasks have (Roboschool's agent_zoo, 2017-05)."""


def figure4_settings(profile: Profile) -> Protocol:
    """Plan Flagrun harder with what Table 4 leaves open changed, most of it one setting at a time; the first is a run
    of Figure 4."""
    environment = "RoboschoolHumanoidFlagrunHarder-v0"
    steps = profile.humanoid_timesteps.get(environment)
    trained = tuple(
        Run(environment, "ppo", setting, profile.humanoid_seeds[0], steps, replace(HUMANOID[environment], **changes))
        for setting, changes in CHANGES.items()
        if steps
    )
    return Protocol("figure4-settings", trained)


def beginning(settings: PPOSettings, steps: int) -> PPOSettings:
    """Return ``settings`` with which a run of ``steps`` has the log-std that one of Figure 4's length begins with."""
    part = steps / HUMANOID_TIMESTEPS[TUNED_ENVIRONMENT]
    first, last = settings.log_std_start, settings.log_std_end
    return replace(settings, log_std_end=first + (last - first) * part)
