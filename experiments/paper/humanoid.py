"""Section 6.3: the six runs of Figure 4, and the short ones that choose what Table 4 leaves open.

Not given are the KL that the step size is adjusted to, the normalisation and the network. Of the first two every
combination is tried on the locomotion task. The KLs are the three of Table 1: while the KL lies between half and twice
the target the step size stays, so closer ones would train the same. Observations and rewards are normalised, as ppo2
did on MuJoCo, or not: Roboschool scales its observations itself, and the policies in its agent_zoo (2017-05) take them
as they are. The network of those policies, 256-128 relu, is trained beside 64-64 to be compared; it chooses nothing.
"""

from dataclasses import replace

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


def beginning(settings: PPOSettings, steps: int) -> PPOSettings:
    """Return ``settings`` with which a run of ``steps`` has the log-std that one of Figure 4's length begins with."""
    part = steps / HUMANOID_TIMESTEPS[TUNED_ENVIRONMENT]
    first, last = settings.log_std_start, settings.log_std_end
    return replace(settings, log_std_end=first + (last - first) * part)
