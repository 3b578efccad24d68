"""Details of PPO that the paper's text omits, their possible choices, and the experiment that decides among them.

A detail is a choice that a program must make and that the text does not state; a level is one choice; a reading has a
level of every detail. "ppo1" and "ppo2" are the programs that the paper's authors released as openai/baselines, each at
a commit: their first release (da99706, 2017-07-20), ppo1 (d9f194f, 2017-08-27), ppo2 (b05be68, 2017-11-16) and the ppo2
whose benchmark comes near the paper's numbers (ea68f3b, 2018-08).
"""

import math
from collections.abc import Mapping
from typing import Any

Levels = Mapping[str, str]
"""Levels, by the name of the detail."""

DETAILS: dict[
    str, dict[str, dict[str, Any]]
] = {  # detail -> level -> settings of PPO; the first level is that of ppo2 of 2017
    "reward-scaling": {  # by the running deviation of the discounted return, and clipped to +-10; the text has none
        "none": {"norm_reward": "none"},  # the first release, ppo1
        "reset": {"norm_reward": "reset"},  # the return starts at 0 after each episode: ppo2 from ad219e2, 2018-09-06
        "never-reset": {"norm_reward": "never-reset"},  # ppo2 of 2017-11 and of 2018-08
    },
    "gradient-clip": {  # the norm of the whole gradient, of policy and value together
        "0.5": {"max_grad_norm": 0.5},  # ppo2
        "none": {"max_grad_norm": math.inf},  # the first release, ppo1
    },
    "advantages": {  # the samples over which they are standardised
        "minibatch": {"norm_adv": "minibatch"},  # ppo2
        "batch": {"norm_adv": "batch"},  # the first release, ppo1
    },
    "initialisation": {
        "orthogonal": {"initialisation": "orthogonal"},  # ppo2
        "column-norm": {"initialisation": "column-norm"},  # the first release, ppo1
    },
    "adam-eps": {
        "1e-5": {"adam_eps": 1e-5},  # ppo1, ppo2
        "1e-8": {"adam_eps": 1e-8},  # the first release, and Adam's own paper
    },
    "time-limits": {
        "terminate": {"bootstrap_truncation": False},  # ppo1 and ppo2
        "bootstrap": {"bootstrap_truncation": True},  # as section 5's estimator would need
    },
    "actions": {
        "raw": {"clip_actions": False},  # all code of 2017
        "clipped": {"clip_actions": True},  # openai/baselines from 9b68103 (2019-05-08) on; today's libraries
    },
    "observation-filter": {
        "every-step-10": {"obs_filter": "step", "clip_obs": 10.0},  # ppo2: updated at every step, clipped to +-10
        "per-batch-5": {"obs_filter": "batch", "clip_obs": 5.0},  # the first release, ppo1: before each update, +-5
    },
    "c1": {  # the first release had 0.5 x squared error, which lies between these two
        "0.25": {"vf_coef": 0.25},  # ppo2: 0.5 x 0.5 x squared error
        "1": {"vf_coef": 1.0},  # equation 9 with c1 = 1, ppo1
    },
    "value-clipping": {  # how far a value may move from the old one before its loss is clipped
        "0.2": {"vf_clip_range": 0.2},  # ppo2
        "none": {
            "vf_clip_range": math.inf
        },  # equation 9; ppo1, whose authors had found it "severely degrading performance"
    },
    "pendulum-force": {  # no setting of PPO but a choice of InvertedPendulum's environment
        "unclamped": {},  # gym's v1, which the paper ran: its model lacked ctrllimited
        "clamped": {},  # gym from 3e006f3ea (2022-05) on, and so every -v4
    },
    "step-size": {
        "constant": {"anneal_lr": False},  # Table 3 names one number, where Table 5 has "x alpha"; ppo2 of 2017-11
        "annealed": {"anneal_lr": True},  # ppo1, ppo2 of 2018-08
    },
}

DEFAULT = "paper"
"""The default reading."""

PENDULUMS = {"unclamped": "InvertedPendulumUnclamped-v4", "clamped": "InvertedPendulum-v4"}


def settings_of(levels: Levels) -> dict[str, Any]:
    """Return the settings of PPO in a reading."""
    return {name: value for detail, level in levels.items() for name, value in DETAILS[detail][level].items()}


def _reading(**changes: str) -> dict[str, str]:
    """Return the levels of ppo2 of 2017-11, except for ``changes`` (by the detail's name with underscores)."""
    ppo2 = {detail: next(iter(levels)) for detail, levels in DETAILS.items()} | {"reward-scaling": "never-reset"}
    return ppo2 | {detail.replace("_", "-"): level for detail, level in changes.items()}


_SIGNS = {  # (reward scaling, gradient clip, advantages): the signs of OTHERS
    ("none", "0.5", "minibatch"): "+-++-+++-",
    ("none", "0.5", "batch"): "+-+++---+",
    ("none", "none", "minibatch"): "++-+++---",
    ("none", "none", "batch"): "-+++---+-",
    ("reset", "0.5", "minibatch"): "-+-++-+++",
    ("reset", "0.5", "batch"): "-++-+++--",
    ("reset", "none", "minibatch"): "--+-++-++",
    ("reset", "none", "batch"): "---+-++-+",
    ("never-reset", "0.5", "minibatch"): "---------",
    ("never-reset", "0.5", "batch"): "++---+-++",
    ("never-reset", "none", "minibatch"): "+++---+-+",
    ("never-reset", "none", "batch"): "+---+-++-",
}
"""The design's first half: all combinations of the three details whose interaction is the question. With the signs of
gradient clip and advantages these columns are Plackett and Burman's design of 12 points; the second half has the same
combinations with every sign of OTHERS reversed (a fold-over). So each of OTHERS has both levels once in each
combination: their main effects are not aliased with each other or with any effect of the three. The remaining aliases
are computed in `analysis.sections.readings.model`."""

CROSSED = ("reward-scaling", "gradient-clip", "advantages")
OTHERS = tuple(detail for detail in DETAILS if detail not in CROSSED)
"""In the order of the signs: - is ppo2's level, + the other one."""


def _point(crossed: tuple[str, ...], signs: str) -> dict[str, str]:
    others = {detail: list(DETAILS[detail])["-+".index(sign)] for detail, sign in zip(OTHERS, signs, strict=True)}
    return dict(zip(CROSSED, crossed, strict=True)) | others


_TURNED = str.maketrans("+-", "-+")

DESIGN: dict[
    str, dict[str, str]
] = {  # 24 readings, p01 ... p24; p09 is ppo2, and p16 is ppo1 except for its clip range
    f"p{number:02}": _point(crossed, signs)
    for number, (crossed, signs) in enumerate(
        [*_SIGNS.items(), *((crossed, signs.translate(_TURNED)) for crossed, signs in _SIGNS.items())], start=1
    )
}

BEST: dict[str, dict[str, str]] = {  # nearest first, as table `readings_best` lists them
    "b1": _reading(reward_scaling="none", advantages="batch", time_limits="bootstrap", pendulum_force="clamped"),
    "b2": _reading(
        reward_scaling="none",
        advantages="batch",
        c1="1",
        value_clipping="none",
        pendulum_force="clamped",
        step_size="annealed",
    ),
    "b3": _reading(
        reward_scaling="none",
        advantages="batch",
        time_limits="bootstrap",
        pendulum_force="clamped",
        step_size="annealed",
    ),
}
"""The three readings that are predicted from the study's data to be nearest to the paper."""

CHOSEN = "p14"
"""The nearest reading as measured, of those of DESIGN and BEST that the rule of `analysis.sections.readings.choice`
admits."""

TRIED = {**BEST, CHOSEN: DESIGN[CHOSEN]}
"""The readings that are run on all seven tasks."""

READINGS: dict[str, dict[str, Any]] = {  # name -> settings of PPO, the same settings in each
    DEFAULT: settings_of(DESIGN[CHOSEN]) | {"anneal_clip": False},
    "ppo1": settings_of(
        _reading(
            reward_scaling="none",
            gradient_clip="none",
            advantages="batch",
            initialisation="column-norm",
            observation_filter="per-batch-5",
            c1="1",
            value_clipping="none",
            step_size="annealed",
        )
    )
    | {"anneal_clip": True},  # with the step size, ppo1 annealed the clip range too
    "ppo2": settings_of(_reading()) | {"anneal_clip": False},
}
"""Under ppo1's filter the old policy is evaluated again after the filter's update, as in its release."""

ATARI_READINGS: dict[str, dict[str, Any]] = {  # name -> what it changes in PPO's settings of section 6.4
    DEFAULT: {},  # Table 5 and equation 9, with the other details as in ppo2: see experiments/paper/settings.py
    "ppo2": {"vf_clip_range": 0.1},  # ppo2/ppo2.py (2017-11) clips values by the range of Table 5, which it anneals
    # Table 5, with the other details as in ppo1, which ran a process for each of the 8 actors and averaged their
    # gradients: ppo1/pposgd_simple.py and cnn_policy.py. (ppo1/run_atari.py has other numbers than Table 5.)
    "ppo1": {
        "norm_adv": "actor",  # each process standardised the advantages of its own 128 steps
        "minibatch_per_actor": True,  # each drew 32 of its own steps: the 32 x 8 of Table 5
        "initialisation": "column-norm",
        "max_grad_norm": math.inf,
        "vf_clip_range": math.inf,
    },
    "a3c": {"network": "a3c"},  # [Mni+16], the network that section 6.4 cites
}

ACER_CHANGES: dict[str, dict[str, Any]] = {  # name -> what it changes in ACER's settings of section 6.4
    "default": {},
    "ent_coef=0.001": {"ent_coef": 0.001},  # ACER's paper
    "anneal_lr=True": {"anneal_lr": True},  # acer_simple.py by default (2017-11), but not its run_atari.py
    "replay_ratio=8": {"replay_ratio": 8.0},  # ACER's paper has 1, 4 and 8
    "trust_region_delta=inf": {"trust_region_delta": math.inf},
}
"""What is tried on Breakout, where ACER differs from the paper's and is as in the release."""

NAMES = tuple(dict.fromkeys([*READINGS, *ATARI_READINGS]))
"""The readings that a command can ask for."""

STUDY_SEEDS = (101, 102, 103, 104)
"""No table of the paper's results has one: the study's own tables do, and table1_reacher."""
FIRST_UPDATE_SEEDS = tuple(range(101, 121))
"""Seeds of Figure 2's update in each reading."""
