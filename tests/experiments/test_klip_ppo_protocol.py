"""The protocol klip-ppo against KLip-PPO's own files."""

import ast
import dataclasses
import inspect
import math
from collections import Counter

from experiments.paper import klip_ppo as module
from experiments.paper.klip_ppo import klip_ppo
from experiments.paper.profiles import PROFILES
from experiments.paper.protocols import PROTOCOLS
from ppo.ppo import PPOSettings

PAPER = PROFILES["paper"]

IN_PRINT = {  # KLip-PPO's objectives as (epsilon, first beta, d_targ), and "+klip-ppo" in their names
    "clip-0.2": (0.2, 0, 0),
    "fixed-kl-1": (math.inf, 1, 0),
    "adaptive-kl-0.02": (math.inf, 1, 0.02),
}


def test_klip_ppo_protocol_is_its_table():
    """KLIP-PPO's table is three objectives on three tasks with five seeds."""
    protocol = klip_ppo(PAPER)
    cells = Counter((run.environment, run.setting) for run in protocol.runs if run.algorithm == "ppo")
    tasks = ("HalfCheetah-v4", "Hopper-v4", "Walker2d-v4")
    assert cells == {(task, f"{objective}+klip-ppo"): 5 for task in tasks for objective in IN_PRINT}
    assert {run.seed for run in protocol.runs} == {301, 302, 303, 304, 305}
    assert {run.total_timesteps for run in protocol.runs} == {1_000_000}
    others = {run.seed for name, other in PROTOCOLS.items() if name != "klip-ppo" for run in other(PAPER).runs}
    assert not others & {301, 302, 303, 304, 305}


def test_its_settings_are_those_of_its_presets():
    """Read from the nine files of configs/snapshots/presets/mujoco-baselines at 7ee1c56, which agree."""
    protocol = klip_ppo(PAPER)
    for run in protocol.runs:
        own = run.settings
        assert isinstance(own, PPOSettings)
        objective = run.setting.removesuffix("+klip-ppo")
        assert (own.clip_coef, own.kl_coef, own.kl_target) == IN_PRINT[objective]
        assert (own.num_envs, own.num_steps, own.update_epochs, own.minibatch_size) == (1, 2048, 10, 64)
        assert (own.learning_rate, own.anneal_lr, own.adam_eps, own.max_grad_norm) == (3e-4, True, 1e-5, 0.5)
        assert (own.gamma, own.gae_lambda, own.ent_coef, own.norm_adv) == (0.99, 0.95, 0, "batch")
        assert (own.vf_coef, own.vf_clip_range) == (0.5 * 0.5, 0.2)
        assert (own.norm_obs, own.norm_reward) == (True, "reset")
        assert own.bootstrap_truncation
        assert own.clip_actions


def test_its_settings_do_not_change_with_a_default():
    written = ast.parse(inspect.getsource(module))
    (call,) = (
        node
        for node in ast.walk(written)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "PPOSettings"
    )
    fields = {field.name for field in dataclasses.fields(PPOSettings) if "added" not in field.metadata}
    left_out = fields - {keyword.arg for keyword in call.keywords}
    assert left_out == {"backward_dtype"}  # of networks for pictures


def test_per_sample_kl_is_beside_the_clipped_objective():
    """The per-sample KL is trained beside the clipped objective on one task with three seeds."""
    protocol = klip_ppo(PAPER)
    penalised = [run for run in protocol.runs if run.algorithm == "per-sample-kl"]
    assert {run.environment for run in penalised} == {"HalfCheetah-v4"}
    assert len({run.seed for run in penalised}) == len(penalised) == 3
    for run in penalised:
        assert dataclasses.replace(run, algorithm="ppo") in protocol.runs
