"""The list of all algorithms by name. Adding one is a file beside this and a line here."""

from baselines.a2c import A2C
from baselines.a2c_trust_region import A2CTrustRegion
from baselines.acer import ACER
from baselines.cem import CEM
from baselines.per_sample_kl import PerSampleKL
from baselines.trpo import NPG, TRPO, TRPO2017
from baselines.vpg import VPG
from ppo.algorithm import Algorithm
from ppo.ppo import PPO

ALGORITHMS: dict[str, type[Algorithm]] = {
    "ppo": PPO,
    "a2c": A2C,
    "a2c-trust-region": A2CTrustRegion,
    "trpo": TRPO,
    "trpo-2017": TRPO2017,
    "npg": NPG,
    "vpg": VPG,
    "cem": CEM,
    "acer": ACER,
    "per-sample-kl": PerSampleKL,
}
