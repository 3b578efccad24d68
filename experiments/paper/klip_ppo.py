"""KLip-PPO's table as data: a check against another paper, to which nothing here was tuned.

KLip-PPO (arXiv 2606.23932, 2026) compares objectives of PPO on MuJoCo tasks, among them the clipped one and the two KL
penalties of section 4: the only published numbers of these penalties beside Table 1's. Every setting below comes from
its repository (github.com/learning-mechanisms/KLip-PPO at 7ee1c56); "preset" is a file of
configs/snapshots/presets/mujoco-baselines, the same in the nine that are repeated here. All settings are written out,
so that a changed default does not change these runs.

Remaining differences:

- a run has 488 whole iterations there, 999,424 steps; here an iteration of 576 steps more;
- beta is clipped to 1e-4 ... 1e4 there, here not;
- advantages are divided by the deviation over n - 1 samples there, here over n: 0.02 % for a batch of 2048;
- the score there is the mean over the last tenth of the iterations of the mean return of the episodes that ended in
  each; here over the last tenth of the steps, in windows of 10,000.
"""

import math
from dataclasses import replace

from experiments.paper.profiles import Profile
from experiments.paper.protocol import Protocol
from experiments.run import Run
from ppo.ppo import PPOSettings

ENVIRONMENTS = ("HalfCheetah-v4", "Hopper-v4", "Walker2d-v4")
"""Those of its tasks that are also in Table 1."""

SEEDS = (301, 302, 303, 304, 305)
"""Five, as there (0 to 4), and none that is used in another table or choice."""

CLIPPED = PPOSettings(
    num_envs=1,  # preset
    num_steps=2048,  # preset
    norm_obs=True,  # preset
    clip_obs=10.0,  # preset
    obs_filter="step",  # klip_ppo/envs/vec_env.py
    network="64-64",  # preset; separate networks for policy and value
    activation="tanh",  # preset
    initialisation="orthogonal",  # preset; gains sqrt 2, 0.01 and 1, log-std 0: klip_ppo/core/networks.py
    gamma=0.99,  # preset
    gae_lambda=0.95,  # preset
    norm_reward="reset",  # preset, and klip_ppo/envs/normalization.py: the return starts at 0 after each episode; +-10
    bootstrap_truncation=True,  # klip_ppo/core/gae.py
    clip_actions=True,  # klip_ppo/envs/gym_env.py: before the environment; the ratio is that of the unclipped action
    learning_rate=3e-4,  # preset
    anneal_lr=True,  # preset; linearly, by iterations: klip_ppo/runtime/local.py
    max_grad_norm=0.5,  # preset
    adam_eps=1e-5,  # preset
    clip_coef=0.2,  # preset
    anneal_clip=False,  # it has none
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
"""Task and seeds of the comparison of its objective (`per-sample-kl`) with the clipped one."""


def klip_ppo(profile: Profile) -> Protocol:
    """Plan three objectives of KLip-PPO's table on three tasks, and its per-sample objective on one."""
    runs = [
        Run(environment, "ppo", f"{objective}+klip-ppo", seed, profile.total_timesteps, settings)
        for environment in ENVIRONMENTS
        for objective, settings in OBJECTIVES.items()
        for seed in SEEDS
    ]
    clipped, steps = "clip-0.2+klip-ppo", profile.total_timesteps
    runs += [Run(PER_SAMPLE_ENVIRONMENT, "per-sample-kl", clipped, seed, steps, CLIPPED) for seed in PER_SAMPLE_SEEDS]
    return Protocol("klip-ppo", tuple(runs))
