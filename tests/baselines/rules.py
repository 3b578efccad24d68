"""What each algorithm does at times only, and a short training in which it is seen to do it."""

from typing import Any

import numpy as np

from experiments.contract.neighbours import Rule
from experiments.contract.stacks import CONTINUOUS


def rises(values: Any) -> Any:
    """Return where a metric is higher than in the iteration before."""
    return np.diff(values) > 0


def falls(values: Any) -> Any:
    """Return where it is lower."""
    return np.diff(values) < 0


CLIPS_GRADIENTS = Rule({"max_grad_norm": 1e-2}, "losses/grad_norm", lambda norms: norms > 1e-2)
CLIPS_OBSERVATIONS = Rule({"clip_obs": 0.5})

RULES = {
    "ppo": {
        "clips ratios": Rule({}, "losses/clipfrac", lambda fractions: fractions > 0),
        "raises beta": Rule({"kl_coef": 1.0, "kl_target": 1e-6}, "losses/kl_coef", rises),
        "lowers beta": Rule({"kl_coef": 1.0, "kl_target": 10.0}, "losses/kl_coef", falls),
        "clips gradients": Rule({}, "losses/grad_norm", lambda norms: norms > 0.5),
        "clips values": Rule({"vf_clip_range": 0.01}),
        "raises the learning rate": Rule({"lr_kl_target": 100.0}, "charts/learning_rate", rises),
        "lowers the learning rate": Rule({"lr_kl_target": 1e-9}, "charts/learning_rate", falls),
    },
    "a2c": {
        "lowers the learning rate": Rule({}, "charts/learning_rate", falls),
        "clips gradients": CLIPS_GRADIENTS,
        "clips observations": CLIPS_OBSERVATIONS,
    },
    "a2c-trust-region": {
        "projects onto the trust region": Rule({"trust_region_delta": 1e-3}),
        "clips gradients": CLIPS_GRADIENTS,
    },
    "trpo": {
        "takes the whole step": Rule({}, "losses/step_size", lambda sizes: sizes == 1),
        "halves the step": Rule({"max_kl": 5.0}, "losses/step_size", lambda sizes: (sizes > 0) & (sizes < 1)),
        "takes no step": Rule({"kl_margin": 1e-6}, "losses/step_size", lambda sizes: sizes == 0),
    },
    "trpo-2017": {
        "halves the step": Rule({"max_kl": 5.0}, "losses/step_size", lambda sizes: (sizes > 0) & (sizes < 1)),
        "clips observations": CLIPS_OBSERVATIONS,
    },
    "npg": {"leaves the trust region": Rule({"max_kl": 5.0}, "losses/approx_kl", lambda kls: kls > 1.5 * 5.0)},
    "vpg": {
        "raises the learning rate": Rule({"desired_kl": 100.0}, "charts/learning_rate", rises),
        "lowers the learning rate": Rule({"desired_kl": 1e-9}, "charts/learning_rate", falls),
    },
    "cem": {
        "closes generations": Rule({}, "charts/generation", lambda numbers: numbers > 1),
        "clips observations": CLIPS_OBSERVATIONS,
    },
    "acer": {
        "replays": Rule({}, "charts/replay_updates", lambda numbers: numbers > 0),
        "leaves replays out": Rule({"replay_ratio": 0.1}, "charts/replay_updates", lambda numbers: numbers == 0),
        "projects onto the trust region": Rule({"trust_region_delta": 1e-3}),
        "truncates importance weights": Rule({"importance_clip": 0.5}),
        "clips gradients": CLIPS_GRADIENTS,
    },
    "per-sample-kl": {
        "stops gradients": Rule({}, "losses/clipfrac", lambda fractions: fractions > 0),
        "clips gradients": Rule({}, "losses/grad_norm", lambda norms: norms > 0.5),
    },
}
"""By algorithm. One that is not listed is trained with its own settings all the same, and nothing is counted."""

SOONER: dict[str, dict[str, Any]] = {"acer": {"replay_start": 20, "learning_rate": 2e-2}}
"""Of every run, what would else put a rule off beyond a short training: at its own learning rate ACER's critic is below
all returns for so long that no gradient points away from the average policy."""

ENVIRONMENT = {"cem": CONTINUOUS}
"""The environment in which the rules fire, where it is not the contract's: a generation needs many whole episodes."""
