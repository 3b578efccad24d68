"""Other libraries' implementations of the algorithms, with the same settings, for comparison of speed."""

import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from baselines import ALGORITHMS
from ppo.envs.atari import ATARI_ROMS, AtariVectorEnv
from ppo.policies import hidden_units
from ppo.ppo import PPOSettings
from ppo.settings import Settings

Block = Callable[[], float]
"""A function that trains for a while and returns the seconds per environment step."""


def peer(algorithm: str, settings: Any, environment: str) -> tuple[str, Block] | None:
    """Return a peer's name and a block of its training (one run, this process, one thread); None without a peer."""
    name = ALGORITHMS[algorithm].peer
    if not name:
        return None
    warnings.filterwarnings("ignore")
    return name, PEERS[name](settings, environment)


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """Return the median over the blocks of slow / fast."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def _environments(settings: Settings, environment: str, gamma: float, norm_reward: str) -> Any:
    import gymnasium
    from stable_baselines3.common.env_util import make_atari_env
    from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize

    if environment in ATARI_ROMS:
        return VecFrameStack(make_atari_env(environment, settings.num_envs), AtariVectorEnv.frames)
    envs = DummyVecEnv([lambda: gymnasium.make(environment)] * settings.num_envs)
    return VecNormalize(envs, gamma=gamma, norm_reward=norm_reward != "none")


def _block(model: Any, steps: int) -> Block:
    def block() -> float:
        start = time.perf_counter()
        model.learn(steps, reset_num_timesteps=False)
        return (time.perf_counter() - start) / steps

    return block


COMMON: dict[str, Any] = {"policy": "MlpPolicy", "policy_kwargs": {"net_arch": [64, 64]}, "seed": 1, "device": "cpu"}
PICTURES: dict[str, Any] = {"policy": "CnnPolicy", "seed": 1, "device": "cpu"}  # the Nature network


def _ppo_settings(settings: Any, environment: str) -> dict[str, Any]:
    """Return environments and settings by the argument names of Stable-Baselines3 and SBX."""
    return {
        "env": _environments(settings, environment, settings.gamma, settings.norm_reward),
        "learning_rate": settings.learning_rate,
        "n_steps": settings.num_steps,
        "batch_size": settings.minibatch_size,
        "n_epochs": settings.update_epochs,
        "max_grad_norm": settings.max_grad_norm,
        "vf_coef": settings.vf_coef,
        "ent_coef": settings.ent_coef,
    }


def sb3_ppo(settings: Any, environment: str) -> Block:
    """Return a block of Stable-Baselines3's PPO with the same settings."""
    from stable_baselines3 import PPO

    kind = PICTURES if environment in ATARI_ROMS else COMMON
    model = PPO(**_ppo_settings(settings, environment), **kind)
    return _block(model, settings.num_steps * settings.num_envs)


def sbx(settings: PPOSettings, environment: str) -> Block:
    """Return a block of SBX, Stable-Baselines3's twin in JAX. Raises ``ImportError`` if it is not installed."""
    import jax
    from sbx import PPO

    network = {"net_arch": [64, 64], "activation_fn": jax.numpy.tanh}
    model = PPO(**_ppo_settings(settings, environment), policy="MlpPolicy", policy_kwargs=network, seed=1)
    return _block(model, settings.num_steps * settings.num_envs)


def _a2c(settings: Any, environment: str) -> Block:
    return _a2c_block(
        settings,
        environment,
        iterations=100,
        max_grad_norm=settings.max_grad_norm,
        vf_coef=settings.vf_coef,
        rms_prop_eps=settings.rms_eps,
    )


def _vpg(settings: Any, environment: str) -> Block:
    """Build VPG: a step of Adam on a whole batch."""
    return _a2c_block(settings, environment, iterations=1, use_rms_prop=False, normalize_advantage=True)


def _a2c_block(settings: Any, environment: str, iterations: int, **more: Any) -> Block:
    from stable_baselines3 import A2C

    model = A2C(
        env=_environments(settings, environment, settings.gamma, settings.norm_reward),
        learning_rate=settings.learning_rate,
        n_steps=settings.num_steps,
        gae_lambda=settings.gae_lambda,
        **more,
        **COMMON,
    )
    return _block(model, iterations * settings.num_steps * settings.num_envs)


def _trpo(settings: Any, environment: str) -> Block:
    from sb3_contrib import TRPO

    model = TRPO(
        env=_environments(settings, environment, settings.gamma, settings.norm_reward),
        learning_rate=settings.vf_learning_rate,
        n_steps=settings.num_steps,
        batch_size=settings.vf_minibatch_size,
        gae_lambda=settings.gae_lambda,
        cg_max_steps=settings.cg_iters,
        cg_damping=settings.cg_damping,
        line_search_shrinking_factor=0.5,
        line_search_max_iter=settings.line_search_iters,
        n_critic_updates=settings.vf_epochs,
        target_kl=settings.max_kl,
        sub_sampling_factor=settings.sub_sampling_factor,
        **COMMON,
    )
    return _block(model, settings.num_steps * settings.num_envs)


def _ars(settings: Any, environment: str) -> Block:
    from sb3_contrib import ARS

    model = ARS(
        env=_environments(replace(settings, num_envs=1), environment, 0.99, "none"),
        n_delta=2,  # a block is four episodes; the number of candidates in a generation does not change the speed
        policy="MlpPolicy",
        policy_kwargs={"net_arch": list(hidden_units(settings.network))},
        seed=1,
        device="cpu",
    )

    def block() -> float:
        before, start = model.num_timesteps, time.perf_counter()
        model.learn(1, reset_num_timesteps=False)
        return (time.perf_counter() - start) / (model.num_timesteps - before)

    return block


PEERS: dict[str, Callable[[Any, str], Block]] = {
    "Stable-Baselines3 PPO": sb3_ppo,
    "Stable-Baselines3 A2C": _a2c,
    "Stable-Baselines3 A2C, as VPG": _vpg,
    "sb3-contrib TRPO": _trpo,
    "sb3-contrib ARS": _ars,
}
"""Name of a peer in `baselines.ALGORITHMS` -> function that builds it from settings and the environment's id."""
