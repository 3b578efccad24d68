"""Environments: rows of one task stepped together (base.py), on MuJoCo's batching (mujoco.py) or Gymnasium's loop."""

import difflib

from gymnasium import registry  # by name: in this package, `gymnasium` is the module gymnasium.py

from ppo.envs.base import Seeds, VectorEnv
from ppo.envs.gymnasium import GymnasiumVectorEnv
from ppo.envs.mujoco import MUJOCO_IDS, MujocoVectorEnv


def make(env_id: str, seeds: Seeds) -> VectorEnv:
    """One row of ``env_id`` for each seed. An id that cannot be made raises a one-line ``ValueError``."""
    if len(seeds) == 0:
        raise ValueError(f"environment {env_id!r}: no seeds were given; one for each row is needed")
    if env_id in MUJOCO_IDS:
        return MujocoVectorEnv(env_id, seeds)
    if ":" not in env_id and env_id not in registry:  # "module:Name-v0" registers itself when it is made
        usable = [name for name, spec in registry.items() if isinstance(spec.entry_point, str)]  # -v2 only raises
        near = difflib.get_close_matches(env_id, usable)
        hint = f"did you mean {', '.join(near)}?" if near else "gymnasium.pprint_registry() lists the known ones"
        raise ValueError(f"unknown environment {env_id!r}; {hint}")
    return GymnasiumVectorEnv(env_id, seeds)
