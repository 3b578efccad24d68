"""KLip-PPO's table as data: an outside check, for nothing here was tuned to it. Not the paper's.

KLip-PPO (arXiv 2606.23932, 2026) compares objectives of PPO on MuJoCo tasks, among them the clipped one and the two KL
penalties of section 4: the only published numbers of these penalties beside Table 1's. Every setting below is read from
its repository (github.com/learning-mechanisms/KLip-PPO at 7ee1c56); "preset" is a file of
configs/snapshots/presets/mujoco-baselines, the same in the nine that are repeated here. All settings are written out,
so that these runs stay what they are when a default changes.

What still differs there:

- a run is 488 whole iterations, 999,424 steps; ours has an iteration of 576 steps more;
- beta is held between 1e-4 and 1e4; ours is not;
- advantages are divided by the deviation over n - 1 samples, ours over n: 0.02 % of a batch of 2048;
- its score is the mean over the last tenth of the iterations, of the mean return of the episodes that ended in each;
  ours is over the last tenth of the steps, in windows of 10,000.
"""

import math
from dataclasses import replace

from experiments.paper.profiles import Profile
from experiments.paper.protocol import Protocol
from experiments.run import Run
from ppo.ppo import PPOSettings

ENVIRONMENTS = ("HalfCheetah-v4", "Hopper-v4", "Walker2d-v4")
"""Of its tasks the three that Table 1 has too."""

SEEDS = (301, 302, 303, 304, 305)
"""Five, as there (0 to 4), and none of those that are reported or chosen by elsewhere."""

CLIPPED = PPOSettings(
    num_envs=1,  # preset
    num_steps=2048,  # preset
    norm_obs=True,  # preset
    clip_obs=10.0,  # preset
    obs_filter="step",  # klip_ppo/envs/vec_env.py
    network="64-64",  # preset; policy and value share nothing
    activation="tanh",  # preset
    initialisation="orthogonal",  # preset; gains sqrt 2, 0.01 and 1, log-std 0: klip_ppo/core/networks.py
    gamma=0.99,  # preset
    gae_lambda=0.95,  # preset
    norm_reward="reset",  # preset, and klip_ppo/envs/normalization.py: the return begins anew with each episode; +-10
    bootstrap_truncation=True,  # klip_ppo/core/gae.py
    clip_actions=True,  # klip_ppo/envs/gym_env.py: before the environment; the ratio is that of the action as drawn
    learning_rate=3e-4,  # preset
    anneal_lr=True,  # preset; linearly, by iterations: klip_ppo/runtime/local.py
    max_grad_norm=0.5,  # preset
    adam_eps=1e-5,  # preset
    clip_coef=0.2,  # preset
    anneal_clip=False,  # it has no such thing
    kl_coef=0.0,
    kl_target=0.0,
    vf_coef=0.25,  # preset: 0.5, times half the squared error (klip_ppo/core/losses.py)
    vf_clip_range=0.2,  # preset
    ent_coef=0.0,  # preset
    update_epochs=10,  # preset
    minibatch_size=64,  # preset
    norm_adv="batch",  # preset: "rollout"
)

_UNCLIPPED = replace(CLIPPED, clip_coef=math.inf)

OBJECTIVES: dict[str, PPOSettings] = {
    "clip-0.2": CLIPPED,
    "fixed-kl-1": replace(_UNCLIPPED, kl_coef=1.0),  # preset; KL[pi_old, pi] in closed form, as ours
    "adaptive-kl-0.02": replace(_UNCLIPPED, kl_coef=1.0, kl_target=0.02),  # preset; section 4's rule, once per batch
}

PER_SAMPLE_ENVIRONMENT = "HalfCheetah-v4"
PER_SAMPLE_SEEDS = SEEDS[:3]
"""Where, and with which seeds, its own objective (`per-sample-kl`) is drawn beside the clipped one."""


def klip_ppo(profile: Profile) -> Protocol:
    """Plan three objectives of KLip-PPO's table on three tasks, and on one its own beside the clipped."""
    runs = [
        Run(environment, "ppo", f"{objective}+klip-ppo", seed, profile.total_timesteps, settings)
        for environment in ENVIRONMENTS
        for objective, settings in OBJECTIVES.items()
        for seed in SEEDS
    ]
    clipped, steps = "clip-0.2+klip-ppo", profile.total_timesteps
    runs += [Run(PER_SAMPLE_ENVIRONMENT, "per-sample-kl", clipped, seed, steps, CLIPPED) for seed in PER_SAMPLE_SEEDS]
    return Protocol("klip-ppo", tuple(runs))
