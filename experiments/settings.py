"""Every constant of the experiments, with its source. "Table N" and "sec. N" are the paper's.

The `paper` preset is the text; what the text leaves out is taken from openai/baselines' ppo2 of 2017-11, the release
whose numbers come nearest to the paper's (Hopper 2316 against 2130, HalfCheetah 1669 against 1810):

- observations normalised by running statistics and clipped to +-10; rewards divided by the running standard deviation
  of the discounted return and clipped to +-10; gradients clipped to norm 0.5; Adam's epsilon 1e-5; orthogonal
  initialisation; advantages standardised per minibatch; value loss 0.5 x 0.5 x squared error: ppo2.
- actions are not clipped before the environment, and the control cost is paid on the raw action: no released code of
  2017 clipped, and only so can "no clipping or penalty" score -0.39.
- time limits are treated as terminations: all code of 2017 did.
- the learning rate is constant: Table 3 gives one number and no schedule, where Table 5 says "x alpha".
- the value loss is not clipped: equation 9 is a plain squared error, and the authors removed the clipping from their
  first release as "severely degrading performance on mujoco" (openai/baselines d9f194f).
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from ppo.ppo import PPOSettings

ENVIRONMENTS = (  # sec. 6.1 ("-v1" then; -v4 keeps v1's rewards and observations nearest)
    "HalfCheetah-v4",
    "Hopper-v4",
    "InvertedDoublePendulum-v4",
    "InvertedPendulum-v4",
    "Reacher-v4",
    "Swimmer-v4",
    "Walker2d-v4",
)

MUJOCO = PPOSettings(  # Table 3
    num_envs=1,  # not in Table 3; every MuJoCo script of openai/baselines
    num_steps=2048,
    learning_rate=3e-4,
    update_epochs=10,
    minibatch_size=64,
    gamma=0.99,
    gae_lambda=0.95,
    clip_coef=0.2,  # the best of Table 1, and Figure 3's
)

_NO_CLIP = replace(MUJOCO, clip_coef=math.inf)

TABLE1: dict[str, PPOSettings] = {  # the rows of Table 1, in its order
    "none": _NO_CLIP,
    "clip-0.1": replace(MUJOCO, clip_coef=0.1),
    "clip-0.2": MUJOCO,
    "clip-0.3": replace(MUJOCO, clip_coef=0.3),
    "adaptive-kl-0.003": replace(_NO_CLIP, kl_coef=1.0, kl_target=0.003),  # "beta was initialized at 1"
    "adaptive-kl-0.01": replace(_NO_CLIP, kl_coef=1.0, kl_target=0.01),
    "adaptive-kl-0.03": replace(_NO_CLIP, kl_coef=1.0, kl_target=0.03),
    "fixed-kl-0.3": replace(_NO_CLIP, kl_coef=0.3),
    "fixed-kl-1": replace(_NO_CLIP, kl_coef=1.0),
    "fixed-kl-3": replace(_NO_CLIP, kl_coef=3.0),
    "fixed-kl-10": replace(_NO_CLIP, kl_coef=10.0),
}

READINGS: dict[str, dict[str, Any]] = {  # what the text leaves open, one change at a time
    "as-in-paper-preset": {},
    "annealed-lr": {"anneal_lr": True},
    "value-clipping": {"clip_vloss": 0.2},
    "no-reward-scaling": {"norm_reward": False},
    "batch-advantages": {"norm_adv": "batch"},
    "bootstrapped-time-limits": {"bootstrap_truncation": True},
    "no-gradient-clipping": {"max_grad_norm": math.inf},
}

ABLATION: dict[str, tuple[str, ...]] = {  # environments, and the rows of Table 1 that are read in each way there
    "HalfCheetah-v4": ("clip-0.2", "none"),  # the row of -0.39 is made here
    "InvertedDoublePendulum-v4": ("clip-0.2",),  # episodes end both by falling and by the time limit
}

ABLATION_SEEDS = (101, 102, 103)  # none of those that are reported

UNTRAINED = replace(MUJOCO, learning_rate=0.0, update_epochs=1)
"""The random policy of Table 1's normalisation: the untrained Gaussian with deviation 1 and raw actions."""


@dataclass(frozen=True)
class Profile:
    """How much of the paper to run."""

    name: str
    seeds: tuple[int, ...]
    total_timesteps: int
    untrained_timesteps: int
    """for the random policy's level, per seed"""


PROFILES = {
    "paper": Profile("paper", seeds=(1, 2, 3), total_timesteps=1_000_000, untrained_timesteps=50_000),  # sec. 6.1
    "quick": Profile("quick", seeds=(1, 2), total_timesteps=30_720, untrained_timesteps=4_096),
}
