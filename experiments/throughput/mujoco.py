"""The MuJoCo part of ``make throughput``: trainings beside their peers and their physics, learners alone, in turn."""

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
"""Of an environment step, block by block, of each contestant."""
BUDGET = 10**9  # never reached
SEEDS = (1, 2, 3)
SB3, SBX, JAX = "Stable-Baselines3", "SBX", "learner in JAX"


def stack_of(environment: str, runs: int, engine: Engine | None = None) -> PPO:
    """The first ``runs`` of Table 1's 33 runs in ``environment``; of one run, the clipped one."""
    planned = [
        Run(environment, "ppo", name, seed, BUDGET, settings) for name, settings in TABLE1.items() for seed in SEEDS
    ]
    chosen = [run for run in planned if run.setting == "clip-0.2"][:1] if runs == 1 else planned[:runs]
    algorithm = build(chosen, engine=engine)
    assert isinstance(algorithm, PPO)
    return algorithm


class Recorder:
    """Notes the simulation's state and controls before each step, so that the physics alone can be run on them."""

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
        """Time of ``Batch.step`` alone on the recorded states and controls."""
        sim, frame_skip = self.env.sim, self.env.frame_skip
        here = sim.state.copy()
        total = 0.0
        for state, controls in self.states:
            sim.state[...] = state
            sim.ctrl[...] = controls
            start = time.perf_counter()
            sim.batch.step(nstep=frame_skip)
            total += time.perf_counter() - start
        sim.state[...] = here
        self.states.clear()
        return total


def trained(stack: PPO, name: str) -> Callable[[], dict[str, float]]:
    """A block that trains an iteration of ``stack`` and then steps its physics again on the same states."""
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
    """A block that does the update alone, always the same one: the second, of a batch that was collected once."""
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
    """All that is measured of PPO in ``environment``; a peer that is not installed is left out."""

    def named(name: str, block: Block) -> Callable[[], dict[str, float]]:
        return lambda: {name: block()}

    single, stack = stack_of(environment, 1), stack_of(environment, 33)
    found = {SB3: named(SB3, sb3_ppo(MUJOCO, environment))}
    found["stack of 1"], found["stack of 33"] = trained(single, "stack of 1"), trained(stack, "stack of 33")
    for runs in (1, 33):
        for engine in ("numba", "torch"):
            name = f"learner of {runs}, {engine}"
            found[name] = named(name, learned(environment, runs, engine))
    try:
        found[SBX] = named(SBX, sbx(MUJOCO, environment))
        from experiments.throughput.jax_learner import update_block

        for runs in (1, 33):
            name = f"{JAX}, {runs}"
            inputs, actions = stack.env.observation_shape[0], stack.policy.action_size
            found[name] = named(name, update_block(runs, inputs, actions, MUJOCO))
    except ImportError:
        pass
    return found


def measure(environment: str, blocks: int, warmup: int) -> Seconds:
    """Seconds per environment step of each contestant, in turn and on one core; the first ``warmup`` blocks are not
    counted."""
    with one_core():
        wanted, seconds = contestants(environment), Seconds()
        for block in range(warmup + blocks):
            for contestant in wanted.values():
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
        theirs = {} if nearest is None else {nearest[0]: nearest[1]()}
        start, before = time.perf_counter(), stack.steps_done
        while stack.steps_done - before < 1000 * settings.num_envs:
            stack.iterate()
        ours = (time.perf_counter() - start) / ((stack.steps_done - before) * stack.runs)
        if number > 0:  # the first warms up
            for which, per_step in {name: ours, **theirs}.items():
                seconds[which].append(per_step)
    return seconds


def rows(environment: str, seconds: Seconds) -> list[tuple[str, str, str]]:
    """What the table says of PPO in one environment."""
    physics = "physics of stack of 33"
    said = {
        "stack of 1": f"{ratio(seconds[SB3], seconds['stack of 1']):.2f}x {SB3}",
        "stack of 33": f"{ratio(seconds[SB3], seconds['stack of 33']):.2f}x {SB3}",
        physics: f"training takes {ratio(seconds['stack of 33'], seconds[physics]):.2f}x its time",
    }
    for runs in (1, 33):
        theirs, own = f"{JAX}, {runs}", f"learner of {runs}, numba"
        if theirs in seconds:
            said[own] = f"{ratio(seconds[theirs], seconds[own]):.2f}x that in JAX, "
        said[own] = said.get(own, "") + f"{ratio(seconds[f'learner of {runs}, torch'], seconds[own]):.2f}x torch's"
    return [
        (f"{environment}, {name}", f"{1 / statistics.median(values):,.0f}", said.get(name, ""))
        for name, values in seconds.items()
    ]


def baseline_rows(environment: str, name: str, seconds: Seconds) -> list[tuple[str, str, str]]:
    """What the table says of another algorithm."""
    ours = seconds[name]
    others = {other: theirs for other, theirs in seconds.items() if other != name}
    gain = ", ".join(f"{ratio(theirs, ours):.2f}x {other}" for other, theirs in others.items())
    return [
        *((f"{environment}, {other}", f"{1 / statistics.median(theirs):,.0f}", "") for other, theirs in others.items()),
        (f"{environment}, {name}, stack of 9", f"{1 / statistics.median(ours):,.0f}", gain),
    ]
