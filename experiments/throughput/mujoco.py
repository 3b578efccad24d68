"""The MuJoCo part of ``make throughput``: trainings, other libraries, physics alone and learners alone, in turn."""

import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

from experiments.paper.settings import COMPARED, MUJOCO, TABLE1
from experiments.run import Run
from experiments.throughput.atari import one_core
from experiments.throughput.peers import Block, peer, ratio, sb3_ppo, sbx
from experiments.training.build import build
from ppo.algorithm import Algorithm
from ppo.envs.mujoco import MujocoVectorEnv
from ppo.ppo import PPO
from ppo.rollout import Batch
from ppo.stacked.engine import Engine

Seconds = dict[str, list[float]]
"""Seconds per environment step, block by block, of each contestant."""
BUDGET = 10**9  # never reached
SEEDS = (1, 2, 3)
SB3, SBX, JAX = "Stable-Baselines3", "SBX", "learner in JAX"


def stack_of(environment: str, runs: int, engine: Engine | None = None) -> PPO:
    """Build a stack of the first ``runs`` of Table 1's 33 runs in ``environment``; a single run is the clipped one."""
    planned = [
        Run(environment, "ppo", name, seed, BUDGET, settings) for name, settings in TABLE1.items() for seed in SEEDS
    ]
    runs_of_stack = [run for run in planned if run.setting == "clip-0.2"][:1] if runs == 1 else planned[:runs]
    algorithm = build(runs_of_stack, engine=engine)
    assert isinstance(algorithm, PPO)
    return algorithm


class Recorder:
    """Records the simulation's state and controls before each step, to time the physics alone on them."""

    def __init__(self, env: MujocoVectorEnv) -> None:
        self.env = env
        self.states: list[Any] = []
        self.step = env.step

    def __enter__(self) -> "Recorder":
        def recorded(actions: Any) -> Any:
            self.states.append((self.env.sim.state.copy(), actions.copy()))
            return self.step(actions)

        self.env.step = recorded  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        self.env.step = self.step  # type: ignore[method-assign]

    def physics_seconds(self) -> float:
        """Time ``Batch.step`` alone on the recorded states and controls."""
        sim, frame_skip = self.env.sim, self.env.frame_skip
        current = sim.state.copy()
        total = 0.0
        for state, controls in self.states:
            sim.state[...] = state
            sim.ctrl[...] = controls
            start = time.perf_counter()
            sim.batch.step(nstep=frame_skip)
            total += time.perf_counter() - start
        sim.state[...] = current
        self.states.clear()
        return total


def trained(stack: PPO, name: str) -> Callable[[], dict[str, float]]:
    """Return a block that trains an iteration of ``stack`` and then steps its physics again on the same states."""
    steps = stack.shared.num_steps * stack.runs
    assert isinstance(stack.env, MujocoVectorEnv)
    env = stack.env

    def block() -> dict[str, float]:
        with Recorder(env) as recorder:
            start = time.perf_counter()
            stack.iterate()
            whole = (time.perf_counter() - start) / steps
            return {name: whole, f"physics of {name}": recorder.physics_seconds() / steps}

    return block


def learned(environment: str, runs: int, engine: Engine) -> Block:
    """Return a block that does only an update, always the training's second one, of a batch that was collected once."""
    stack, batches, update = stack_of(environment, runs, engine), list[Batch](), PPO.update
    stack.iterate()
    stack.update = lambda batch: batches.append(batch) or {}  # type: ignore[method-assign, func-returns-value]
    stack.iterate()
    parameters, moments = stack.policy.parameters.detach(), copy.deepcopy(stack.optimizer.state())
    first, samples = parameters.clone(), int(stack.shared.num_steps) * runs

    def block() -> float:
        parameters.copy_(first)
        stack.optimizer.load_state(moments)
        start = time.perf_counter()
        update(stack, batches[0])
        return (time.perf_counter() - start) / samples

    return block


def contestants(environment: str) -> dict[str, Callable[[], dict[str, float]]]:
    """Return the contestants of PPO in ``environment``, without peers that are not installed."""

    def named(name: str, block: Block) -> Callable[[], dict[str, float]]:
        return lambda: {name: block()}

    single, stack = stack_of(environment, 1), stack_of(environment, 33)
    blocks = {SB3: named(SB3, sb3_ppo(MUJOCO, environment))}
    blocks["stack of 1"], blocks["stack of 33"] = trained(single, "stack of 1"), trained(stack, "stack of 33")
    for runs in (1, 33):
        for engine in ("numba", "torch"):
            name = f"learner of {runs}, {engine}"
            blocks[name] = named(name, learned(environment, runs, engine))
    try:
        blocks[SBX] = named(SBX, sbx(MUJOCO, environment))
        from experiments.throughput.jax_learner import update_block

        for runs in (1, 33):
            name = f"{JAX}, {runs}"
            inputs, actions = stack.env.observation_shape[0], stack.policy.action_size
            blocks[name] = named(name, update_block(runs, inputs, actions, MUJOCO))
    except ImportError:
        pass
    return blocks


def measure(environment: str, blocks: int, warmup: int) -> Seconds:
    """Measure seconds per environment step of each contestant, in turn and on one core; the first ``warmup`` blocks are
    not counted."""
    with one_core():
        trainings, seconds = contestants(environment), Seconds()
        for block in range(warmup + blocks):
            for contestant in trainings.values():
                for name, value in contestant().items():
                    if block >= warmup:
                        seconds.setdefault(name, []).append(value)
    return seconds


def measure_baseline(name: str, environment: str, blocks: int) -> Seconds:
    """Measure an algorithm in a stack of 9, and the nearest peer if there is one, in turn."""
    settings = COMPARED[name]
    nearest = peer(name, settings, environment)
    stack: Algorithm = build([Run(environment, name, "default", seed, BUDGET, settings) for seed in range(1, 10)])
    seconds: Seconds = {name: []} if nearest is None else {name: [], nearest[0]: []}
    for number in range(blocks + 1):
        peers = {} if nearest is None else {nearest[0]: nearest[1]()}
        start, before = time.perf_counter(), stack.steps_done
        while stack.steps_done - before < 1000 * settings.num_envs:
            stack.iterate()
        per_step_here = (time.perf_counter() - start) / ((stack.steps_done - before) * stack.runs)
        if number > 0:  # the first warms up
            for which, per_step in {name: per_step_here, **peers}.items():
                seconds[which].append(per_step)
    return seconds


def rows(environment: str, seconds: Seconds) -> list[tuple[str, str, str]]:
    """Return the table's rows of PPO in one environment."""
    physics = "physics of stack of 33"
    remarks = {
        "stack of 1": f"{ratio(seconds[SB3], seconds['stack of 1']):.2f}x {SB3}",
        "stack of 33": f"{ratio(seconds[SB3], seconds['stack of 33']):.2f}x {SB3}",
        physics: f"training takes {ratio(seconds['stack of 33'], seconds[physics]):.2f}x its time",
    }
    for runs in (1, 33):
        in_jax, compiled = f"{JAX}, {runs}", f"learner of {runs}, numba"
        if in_jax in seconds:
            remarks[compiled] = f"{ratio(seconds[in_jax], seconds[compiled]):.2f}x that in JAX, "
        remarks[compiled] = (
            remarks.get(compiled, "") + f"{ratio(seconds[f'learner of {runs}, torch'], seconds[compiled]):.2f}x torch's"
        )
    return [
        (f"{environment}, {name}", f"{1 / statistics.median(values):,.0f}", remarks.get(name, ""))
        for name, values in seconds.items()
    ]


def baseline_rows(environment: str, name: str, seconds: Seconds) -> list[tuple[str, str, str]]:
    """Return the table's rows of another algorithm."""
    stack = seconds[name]
    others = {other: peer_seconds for other, peer_seconds in seconds.items() if other != name}
    gain = ", ".join(f"{ratio(peer_seconds, stack):.2f}x {other}" for other, peer_seconds in others.items())
    return [
        *(
            (f"{environment}, {other}", f"{1 / statistics.median(peer_seconds):,.0f}", "")
            for other, peer_seconds in others.items()
        ),
        (f"{environment}, {name}, stack of 9", f"{1 / statistics.median(stack):,.0f}", gain),
    ]
