"""Every constant of the experiments, with its source. "Table N" and "sec. N" are the paper's.

The text gives most settings; details that it omits are chosen by a reading (experiments/paper/readings.py has their
sources). `paper` is the reading of all PPO runs of sections 6.1 and 6.2; `ppo1` and `ppo2` are the released programs.
The `paper` reading was chosen by a designed experiment (`ppo run readings`, then `readings-best`), by a rule that
analysis/sections/readings/choice.py has. Why each detail is as it is:

- rewards are not scaled: with any scaling the first update of Figure 2 is too small (L_CPI 0.022 or 0.028 against 0.038
  without; the paper has 0.050).
- gradients are clipped to norm 0.5: without that "no clipping or penalty" never ended below the random policy on
  HalfCheetah (0 of 48 runs).
- advantages are standardised over the batch, as in the code released with the paper (2017-07-20): with the two above
  and raw actions all four seeds ended there, and none with advantages standardised over minibatches.
- actions are not clipped before the environment, and the control cost is paid on the raw action: clipped ones bound it,
  and -0.39 needs a cost without bound. No released code of 2017 clipped.
- time limits end an episode as a termination does (ppo1 and ppo2), the value loss is not clipped and c1 is 1
  (equation 9), the step size is constant (Table 3), Adam's epsilon is 1e-8 (its own paper, and the code released with
  this one), initialisation is orthogonal and observations are clipped to +-10 and updated at every step
  (openai/baselines' ppo2 of 2017-11, b05be68): of the measured readings with raw actions under which every seed without
  clipping or penalty falls, this one is nearest to the paper (p14).
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from baselines import ALGORITHMS, record_of
from baselines.a2c import A2CSettings
from baselines.a2c_trust_region import A2CTrustRegionSettings
from baselines.acer import ACERSettings
from baselines.cem import CEMSettings
from baselines.trpo import NPGSettings, TRPO2017Settings, TRPOSettings
from baselines.vpg import VPGSettings
from experiments.messages import unknown_name_message
from experiments.paper.readings import ATARI_READINGS, DEFAULT, NAMES, READINGS
from ppo.envs.atari import ATARI_ROMS
from ppo.envs.making import bare_id
from ppo.ppo import PPOSettings
from ppo.settings import Settings

MUJOCO = PPOSettings(  # Table 3
    num_envs=1,  # not in Table 3; every MuJoCo script of openai/baselines
    num_steps=2048,
    learning_rate=3e-4,
    update_epochs=10,
    minibatch_size=64,
    gamma=0.99,
    gae_lambda=0.95,
    clip_coef=0.2,  # the best row of Table 1, used in Figure 3
    **READINGS["paper"],  # details that the text omits
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

FIGURE3: dict[str, Settings] = {  # sec. 6.2: "tuned implementations"; the paper gives settings of PPO alone
    "ppo": MUJOCO,
    "a2c": A2CSettings(
        num_envs=4,  # "several actors"; 16 on Atari
        num_steps=5,  # openai/baselines a2c, on Atari; as are lambda, RMSProp and the gradient clip
        norm_reward="none",  # tuned
        learning_rate=3e-3,  # tuned over the whole budget, with and without annealing
        anneal_lr=True,  # tuned; constant rates that are best at a fifth of the budget diverge later
    ),
    "a2c-trust-region": A2CTrustRegionSettings(
        num_envs=4,
        num_steps=5,
        ema_decay=0.995,  # ACER, continuous control
        learning_rate=2.68e-3,  # tuned
        anneal_lr=False,  # ACER's paper
        trust_region_delta=8.0,  # tuned; ACER searched 0.1 to 2
        norm_reward="none",  # tuned
    ),
    "trpo": TRPOSettings(  # numbers of openai/baselines trpo_mpi/run_mujoco.py (2017-07-20); the network is PPO's
        num_steps=1024,
        max_kl=0.01,
        cg_iters=10,
        cg_damping=0.1,
        sub_sampling_factor=5,
        gamma=0.99,
        gae_lambda=0.98,
        vf_epochs=5,
        vf_learning_rate=1e-3,
        vf_minibatch_size=64,
        norm_reward="never-reset",  # tuned; none there
    ),
    "trpo-2017": TRPO2017Settings(),  # the settings of this file at da99706, including its two bugs
    "npg": NPGSettings(),  # TRPO's without the line search; its reward scaling is tuned too, and the same
    "vpg": VPGSettings(
        num_steps=2500,  # openai/baselines acktr_cont, which adapts its step by the same rule
        gamma=0.99,
        gae_lambda=0.9,  # tuned; acktr_cont: 0.97
        desired_kl=0.064,  # tuned; acktr_cont: 0.002
        norm_reward="never-reset",  # tuned; acktr_cont: none
        learning_rate=1e-3,  # with the rule and the value network's fit: Berkeley hw4 (2017-03-18)
        vf_epochs=10,
        vf_learning_rate=1e-3,
    ),
    "cem": CEMSettings(  # joschu/modular_rl, experiments/battery-cem.yaml: network, elite and extra deviation
        network="10-5",
        elite_frac=0.2,
        extra_std=0.01,
        population=20,  # tuned; 200 there
        initial_std=0.1,  # tuned; 1 there
        deterministic=True,  # there too, and better than also searching the log-std
    ),
}
"""Equal to the defaults of the classes. "Tuned": chosen by `ppo run tuning` (sweeps.py)."""

_LOCOMOTION = PPOSettings(  # sec. 6.3, Table 4; all written out, so that runs of hours outlast a change of reading
    num_envs=32,  # "number of actors" of locomotion
    num_steps=512,
    update_epochs=15,
    minibatch_size=4096,
    gamma=0.99,
    gae_lambda=0.95,
    anneal_log_std=True,  # "LinearAnneal(-0.7, -1.6)"
    log_std_start=-0.7,
    log_std_end=-1.6,
    learning_rate=3e-4,  # "adjusted based on the target value of the KL"; the first one is not given: Table 3's
    # what Table 4 leaves open; chosen by `ppo run figure4-tuning` and the rule of analysis/sections/humanoid/tuning.py
    lr_kl_target=0.01,
    norm_obs=True,
    # what it leaves open and the rule does not choose
    network="64-64",  # sec. 6.1's. OpenAI's own policies of 2017-05 for these tasks have 256-128 relu
    activation="tanh",
    clip_coef=0.2,  # the best of Table 1
    anneal_lr=False,  # the KL changes it
    anneal_clip=False,
    # from here to vf_clip_range the authors' ppo1 of 2017-07-20, with a process for each actor. With other details, and
    # with a time limit that is an end, runs stayed behind Figure 4 (`ppo run figure4-readings`): this is calibration
    norm_reward="none",
    vf_coef=1.0,
    ent_coef=0.0,
    clip_obs=5.0,
    obs_filter="batch",
    initialisation="column-norm",
    adam_eps=1e-5,
    max_grad_norm=math.inf,
    norm_adv="actor",
    minibatch_per_actor=True,
    vf_clip_range=math.inf,
    kl_coef=0.0,
    kl_target=0.0,
    bootstrap_truncation=True,  # joschu/modular_rl, the first author's code of 2016 (core.py); in ppo1 it is an end
    clip_actions=False,  # all code of 2017; Roboschool's rewards too are those of the unclipped action
    rescale_actions=False,
)

HUMANOID: dict[str, PPOSettings] = {
    "RoboschoolHumanoid-v0": _LOCOMOTION,
    "RoboschoolHumanoidFlagrun-v0": replace(_LOCOMOTION, num_envs=128),  # "128 (flagrun)"
    "RoboschoolHumanoidFlagrunHarder-v0": replace(_LOCOMOTION, num_envs=128),
}

ATARI: dict[str, Settings] = {  # sec. 6.4; of A2C and ACER the paper says only "tuned"
    "ppo": PPOSettings(  # Table 5, values not clipped (equation 9); other settings from openai/baselines' ppo2
        num_envs=8,  # "number of actors"
        num_steps=128,
        learning_rate=2.5e-4,  # "x alpha"
        anneal_lr=True,
        update_epochs=3,
        minibatch_size=256,
        gamma=0.99,
        gae_lambda=0.95,
        clip_coef=0.1,  # "x alpha"
        anneal_clip=True,
        vf_coef=1.0,  # c1 of equation 9, whose squared error has no half; ppo2 of 2017-11: 0.5 x 0.5
        ent_coef=0.01,
        norm_adv="minibatch",
        adam_eps=1e-5,
        network="nature",  # the paper cites [Mni+16], but all code of OpenAI's and its A2C and ACER had [Mni+15]'s
        norm_obs=False,  # pixels / 255
        norm_reward="none",  # clipped to their signs, by the environment
    ),
    "a2c": A2CSettings(  # openai/baselines a2c/run_atari.py, 2017-08-18
        num_envs=16,
        num_steps=5,
        learning_rate=7e-4,
        anneal_lr=True,  # so at first; constant from 2017-08-27 on
        rms_decay=0.99,
        rms_eps=1e-5,
        max_grad_norm=0.5,
        vf_coef=0.25,  # 0.5 x 0.5
        ent_coef=0.01,
        gamma=0.99,
        gae_lambda=1.0,
        network="nature",
        norm_obs=False,
        norm_reward="none",
    ),
    "acer": ACERSettings(  # openai/baselines acer/acer_simple.py and run_atari.py, 2017-11
        num_envs=16,  # the 16 actor-learners of ACER's paper
        num_steps=20,  # k, ACER's paper
        gamma=0.99,  # ACER's paper
        learning_rate=7e-4,
        anneal_lr=False,  # ACER's paper and run_atari.py
        rms_decay=0.99,
        rms_eps=1e-5,
        max_grad_norm=10.0,
        q_coef=0.5,  # times (Qret - Q)^2 / 2
        ent_coef=0.01,  # ACER's paper: 0.001
        replay_ratio=4.0,  # ACER's paper
        replay_capacity=50_000,  # ACER's paper
        replay_start=10_000,
        importance_clip=10.0,  # c, ACER's paper
        trust_region_delta=1.0,  # ACER's paper
        ema_decay=0.99,  # alpha, ACER's paper
        network="nature",  # ACER's paper
        norm_obs=False,
    ),
}

UNTRAINED = replace(MUJOCO, learning_rate=0.0, update_epochs=1)
"""The random policy of Table 1's normalisation: the untrained Gaussian with deviation 1 and raw actions."""

COMPARED: dict[str, Settings] = {
    **FIGURE3,
    **{
        name: record.load().Settings()
        for name, record in ALGORITHMS.items()
        if record.compared and name not in FIGURE3 and record.load().continuous
    },
}
"""The algorithms of Figure 3 with their settings: from FIGURE3, or else the defaults of the class."""


def usual_settings(environment: str, algorithm: str, reading: str = DEFAULT) -> Settings:
    """Return the settings of an algorithm in `ppo train` by default; on humanoid tasks those of section 6.3, on
    Atari games those of section 6.4. What module or arguments an ``environment`` is named with changes nothing.

    Raises ``ValueError`` for an unknown ``algorithm`` or ``reading``, and for one that is not of this.
    """
    check_reading(reading)
    environment = bare_id(environment)
    known: Mapping[str, Any] = ATARI_READINGS if environment in ATARI_ROMS else READINGS
    if reading != DEFAULT and (algorithm != "ppo" or environment in HUMANOID or reading not in known):
        of = [f"on {where}" for where, readings in _READINGS.items() if reading in readings]
        what = (environment or "MuJoCo") if algorithm == "ppo" else algorithm
        raise ValueError(f"the {reading} reading is for PPO {' and '.join(of)}: {what} has none of that name")
    if environment in ATARI_ROMS and algorithm in ATARI:
        return replace(ATARI[algorithm], **known[reading])
    if environment in HUMANOID and algorithm == "ppo":
        return HUMANOID[environment]
    if not (":" in algorithm or algorithm in ALGORITHMS):
        raise ValueError(unknown_name_message("algorithm", algorithm, ALGORITHMS, own="MODULE:CLASS"))
    usual: Settings = record_of(algorithm).load().Settings()
    return usual if reading == DEFAULT else replace(usual, **READINGS[reading])


_READINGS = {"MuJoCo (sections 6.1 and 6.2)": READINGS, "Atari (section 6.4)": ATARI_READINGS}


def check_reading(reading: str) -> None:
    """Raise ``ValueError`` for an unknown ``reading``, with the nearest names."""
    if reading not in NAMES:
        raise ValueError(unknown_name_message("reading", reading, NAMES))
