"""Environments: rows of one task stepped together (base.py), on MuJoCo's batching (mujoco.py, roboschool/), on
Atari's emulators (atari.py) or in Gymnasium's loop (gymnasium.py). Importing this registers Roboschool's ids with
Gymnasium."""

import difflib
from collections.abc import Iterable

from gymnasium.envs.registration import (
    EnvSpec,
    register,
    registry,
)  # by name: in this package, `gymnasium` is the module gymnasium.py

from ppo.envs.base import Seeds, VectorEnv

ROBOSCHOOL_IDS: dict[str, float | None] = {
    "RoboschoolHumanoid-v0": 3500.0,
    "RoboschoolHumanoidFlagrun-v0": 2000.0,
    "RoboschoolHumanoidFlagrunHarder-v0": None,
}
"""The tasks of section 6.3, and the return at which Roboschool considers each solved."""

for _id, _threshold in ROBOSCHOOL_IDS.items():
    register(
        _id,
        "ppo.envs.roboschool.gymnasium_env:RoboschoolEnv",
        reward_threshold=_threshold,
        max_episode_steps=1000,
        kwargs={"env_id": _id},
    )


def make(env_id: str, seeds: Seeds, processes: int | None = None) -> VectorEnv:
    """Make ``env_id`` with one row for each seed. An id that cannot be made raises a one-line ``ValueError``.

    ``env_id``: an id, or ``ID(NAME=VALUE, ...)`` with arguments for ``gymnasium.make``, which only Gymnasium's own loop
    takes, and of these ``rules`` the humanoid tasks too. A module that ``MODULE:ID`` names is imported.

    ``processes``: for Atari, how many to spread the rows over; by default one per core. No result depends on it.
    """
    # Imported here because Atari's worker processes import this package and need neither engine.
    from ppo.envs.atari import ATARI_ROMS, AtariVectorEnv
    from ppo.envs.gymnasium import GymnasiumVectorEnv
    from ppo.envs.making import split_arguments
    from ppo.envs.mujoco import MUJOCO_IDS, MujocoVectorEnv
    from ppo.envs.roboschool.environment import RoboschoolVectorEnv

    if len(seeds) == 0:
        raise ValueError(f"environment {env_id!r}: the list of seeds is empty; one for each row is needed")
    if env_id in MUJOCO_IDS:
        return MujocoVectorEnv(env_id, seeds)
    if env_id in ATARI_ROMS:
        return AtariVectorEnv(env_id, seeds, processes)
    bare, arguments = split_arguments(env_id)
    if bare in ROBOSCHOOL_IDS and arguments.keys() <= {"rules"}:
        return RoboschoolVectorEnv(bare, seeds, **arguments)
    if bare in ATARI_ROMS:
        raise ValueError(
            f"environment {env_id!r}: Atari games are played as in 2017, and take no {', '.join(arguments)}"
        )
    spec = registry.get(bare)
    if spec and _is_atari(spec):
        names = [name for name, rom in ATARI_ROMS.items() if rom == spec.kwargs["game"]]
        raise ValueError(
            f"environment {env_id!r}: Atari games are played as in the paper, by the ids that end in NoFrameskip-v4; "
            + (f"choose {names[0]}" if names else "ale-py has none of this game")
        )
    if ":" not in bare and not spec:  # "module:Name-v0" registers itself when it is made
        raise ValueError(f"unknown environment {env_id!r}; {_hint(bare, MUJOCO_IDS, ATARI_ROMS)}")
    return GymnasiumVectorEnv(env_id, seeds)


def _is_atari(spec: EnvSpec) -> bool:
    return str(spec.entry_point).startswith("ale_py")


def _hint(env_id: str, mujoco: Iterable[str], atari: Iterable[str]) -> str:
    """Suggest the ids that are nearest to an unknown one."""
    usable = [name for name, spec in registry.items() if isinstance(spec.entry_point, str) and not _is_atari(spec)]
    usable += [name for name in mujoco if name not in registry]
    games = {name.removesuffix("NoFrameskip-v4"): name for name in atari}
    near = difflib.get_close_matches(env_id, [*usable, *atari])
    near = near or [games[name] for name in difflib.get_close_matches(env_id, games)]
    known = f"did you mean {', '.join(near)}?" if near else "gymnasium.pprint_registry() lists the known ones."
    return f"{known} An environment of your own or of another package is MODULE:ID"
