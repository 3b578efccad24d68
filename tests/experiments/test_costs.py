"""What training costs: the model against what was measured, and machines on paper."""

import argparse
import csv
import dataclasses
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

import experiments
from experiments.cli import commands as cli
from experiments.cli.flags.values import machine
from experiments.cli.plan_tables import print_estimates
from experiments.paper.profiles import PROFILES
from experiments.paper.protocols import select
from experiments.paper.settings import ATARI, COMPARED, HUMANOID, MUJOCO
from experiments.planning import planner
from experiments.planning.costs import CONSTANTS, Costs, Measured, fit
from experiments.planning.estimates import Machine, estimates, read_costs, write_measured
from experiments.policies.evaluation import TrainedPolicy, export
from experiments.run import Run
from experiments.store.files import StoreError
from experiments.throughput import atari, command, humanoid
from experiments.training.build import build
from ppo.envs import make
from ppo.seeding import environment_seeds
from tests.helpers.documented import DOCUMENTED

RESULTS = Path(experiments.__file__).parents[1] / "results"
PAPER = PROFILES["paper"]


def timed():
    """The stacks that the constants were fitted to."""
    with (Path(__file__).parent / "stack_seconds.csv").open() as file:
        for row in csv.DictReader(file):
            rows = int(row["runs"]) * int(row["num_envs"])
            yield Measured(row["environment"], row["algorithm"], rows, float(row["cpu_seconds_per_vector_step"]))


def test_the_model_has_the_shape_of_what_was_timed():
    """One part per environment step and one per vector step explain stacks of 1 to 33 runs of all eight algorithms."""
    found = fit(list(timed()))
    for one in timed():
        assert found.per_vector_step(one.environment, one.algorithm, one.rows) == pytest.approx(one.seconds, rel=0.2)


def test_the_constants_are_that_fit():
    """Within 3 %: they are rounded."""
    found = fit(list(timed()))
    for one in timed():
        fitted = found.per_vector_step(one.environment, one.algorithm, one.rows)
        assert CONSTANTS.per_vector_step(one.environment, one.algorithm, one.rows) == pytest.approx(fitted, rel=0.03)


def test_a_fit_finds_the_costs_that_times_were_made_from():
    truth = Costs(
        {"A": 3e-5, "B": 9e-5, "": 1.0}, {"vpg": -1e-5, "cem": 2e-5}, {"ppo": 4e-4, "vpg": 1e-4, "cem": 0.0, "": 1}
    )
    cases = [("A", "ppo"), ("B", "ppo"), ("A", "vpg"), ("A", "cem")]
    found = fit([Measured(*case, rows, truth.per_vector_step(*case, rows)) for case in cases for rows in (3, 30)])
    for case in [*cases, ("B", "vpg"), ("B", "cem")]:  # the last two were not measured
        assert found.per_vector_step(*case, 7) == pytest.approx(truth.per_vector_step(*case, 7), rel=1e-4)


def test_what_was_not_measured_is_scaled_by_how_the_machine_compares():
    halves = [
        Measured("Hopper-v4", "ppo", rows, CONSTANTS.per_vector_step("Hopper-v4", "ppo", rows) / 2) for rows in (3, 33)
    ]
    found = fit(halves)
    for environment, algorithm in (("Swimmer-v4", "trpo"), ("Hopper-v4", "ppo"), ("CartPole-v1", "a2c")):
        expected = CONSTANTS.per_vector_step(environment, algorithm, 9) / 2
        assert found.per_vector_step(environment, algorithm, 9) == pytest.approx(expected, rel=1e-4)


def test_an_algorithm_costs_the_same_on_every_atari_game():
    costs = Costs({"": 1.0}, {}, {"": 0.5}, {"ppo": 2e-3})
    assert costs.per_vector_step("PongNoFrameskip-v4", "ppo", 8) == pytest.approx(16e-3)
    assert costs.per_vector_step("PongNoFrameskip-v4", "vpg", 8) == pytest.approx(8.5)
    assert costs.per_vector_step("Hopper-v4", "ppo", 8) == pytest.approx(8.5)
    assert CONSTANTS.per_vector_step("Hopper-v5", "ppo", 3) == CONSTANTS.per_vector_step("Hopper-v4", "ppo", 3)


def test_games_that_were_measured_cost_what_was_measured():
    """And the rest what the machine's speed elsewhere makes of the constants."""
    rest = [
        Measured("Hopper-v4", "ppo", rows, 2 * CONSTANTS.per_vector_step("Hopper-v4", "ppo", rows)) for rows in (3, 9)
    ]
    games = [
        Measured(f"{game}NoFrameskip-v4", "ppo", 8, 8 * cost) for game, cost in (("Pong", 1e-3), ("Breakout", 3e-3))
    ]
    found = fit([*rest, *games])
    assert found.atari["ppo"] == pytest.approx(2e-3)
    assert found.atari["acer"] == pytest.approx(2 * CONSTANTS.atari["acer"])
    assert found.environment == fit(rest).environment


def test_a_machine_is_written_in_one_word():
    assert machine("cores=16,gpus=1,price=2.5") == Machine(16, 1, 2.5)
    assert machine("cores=2") == Machine(2, 0, None)
    for wrong in ("16", "cores=0", "cores=x", "gpus=1", "cores=2,price=-1", "cores=2,ram=3", "cores=2,price=nan"):
        with pytest.raises(argparse.ArgumentTypeError, match="is no machine"):
            machine(wrong)


def printed(machines, costs, protocols=("table1", "figure3")):
    console = Console(width=120, record=True, file=io.StringIO())
    print_estimates(console, select(protocols, PAPER), machines, costs, 0.25)
    return console.export_text()


def test_hours_and_price_are_those_of_the_plan():
    """One step a second on one core, exactly: hours are steps / 3600."""
    costs = Costs({"": 1.0}, {}, {"": 0.0})
    said = printed([Machine(1, 0, 2.0)], {"cpu": costs}, ["table1"])
    stacks = planner.stacks(select(["table1"], PAPER)[0].runs)
    hours = (sum(stack.total_timesteps for stack in stacks) + 3 * len(stacks)) / 3600
    assert said.splitlines()[1].split() == [
        "table1",
        "1",
        "cores",
        "21",
        f"{hours:.2f}",
        "100%",
        "10555.56",
        "h",
        f"{2 * hours:.2f}",
    ]


def test_only_the_environments_asked_for_are_estimated(tmp_path, capsys):
    plan = ["plan", "table1", "--workers", "1", "--results", str(tmp_path), "--machines", "cores=1", "--environments"]
    assert cli.main([*plan, "Hopper-v4"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1].split()[:4] == [
        "table1",
        "1",
        "cores",
        "3",
    ]  # 75 runs in two, and the random policy


def test_only_the_algorithms_and_seeds_asked_for_are_planned(tmp_path, capsys):
    plan = ["plan", "atari", "--environments", "PongNoFrameskip-v4", "BreakoutNoFrameskip-v4", "--workers", "2"]
    assert cli.main([*plan, "--results", str(tmp_path), "--algorithms", "ppo", "acer", "--seeds", "1", "3"]) == 0
    assert "8 runs in 8 stacks, 80,000,000 steps" in capsys.readouterr().out  # no stacks of convolutional networks


def test_published_speeds_of_gpus_are_said_where_none_is_measured(tmp_path, capsys):
    """441 runs of 275 minutes are 2,021 hours."""
    plan = ["plan", "atari", "--results", str(tmp_path), "--machines", "cores=16,gpus=1,price=1.006"]
    assert cli.main(plan) == 0
    said = capsys.readouterr().out
    assert "CleanRL's ppo_atari" in said
    assert "2,021 hours for 441 runs, one after the other" in said
    assert "2,033 at 1.006" in said
    assert cli.main(["plan", "table1", "--results", str(tmp_path), "--machines", "cores=16,gpus=1"]) == 0
    assert "published" not in capsys.readouterr().out


def test_two_cores_bound_a_run_on_atari_by_its_shares():
    equal = atari.bounds({"emulation": 1.0, "acting": 1.0, "learning": 2.0})
    assert list(equal.values()) == pytest.approx([4 / 3.5, 4 / 3, 4 / 3])
    slow_emulator = atari.bounds({"emulation": 3.0, "acting": 1.0, "learning": 2.0})
    assert list(slow_emulator.values()) == pytest.approx([6 / 4.5, 6 / 5, 6 / 3])


def test_gpus_count_where_measured():
    """GPUs count where one was measured, and are left out elsewhere."""
    slow = Costs({"": 1.0}, {}, {"": 0.0})
    fast = Costs({"": 0.1}, {}, {"": 0.0})
    assert "GPUs are left out" in printed([Machine(8, 1)], {"cpu": slow})
    rows = [line.split() for line in printed([Machine(8, 1)], {"cpu": slow, "cuda": fast}).splitlines()]
    assert [row[:4] for row in rows if "GPUs" in row] == [
        [name, "8", "cores,", "1"] for name in ("table1", "figure3", "together")
    ]


def test_a_machine_with_fewer_gpus_than_a_stack_takes_has_none():
    costs = {"cpu": Costs({"": 1.0}, {}, {"": 0.0}), "cuda": Costs({"": 0.1}, {}, {"": 0.0})}
    runs = select(["table1"], PAPER)[0].trained[:2]
    assert [estimate.gpus for estimate in estimates(runs, Machine(8, 1), costs, 2.0)] == [0]
    assert [estimate.gpus for estimate in estimates(runs, Machine(8, 2), costs, 2.0)] == [0, 2]


def test_measured_speeds_are_kept_by_device_and_read_by_the_plan(tmp_path, capsys):
    path = tmp_path / "throughput.json"
    assert read_costs(path) == {"cpu": CONSTANTS}
    cpu = [Measured("Hopper-v4", "ppo", rows, rows * 1e-3) for rows in (1, 10)]
    write_measured(path, "cpu", cpu, {"machine": "slow"})
    write_measured(path, "cuda", [Measured("Hopper-v4", "ppo", rows, 1e-3) for rows in (1, 10)], {"machine": "fast"})
    costs = read_costs(path)
    assert set(costs) == {"cpu", "cuda"}
    assert costs["cpu"].per_vector_step("Hopper-v4", "ppo", 5) == pytest.approx(5e-3, rel=1e-4)
    assert costs["cuda"].per_vector_step("Hopper-v4", "ppo", 5) == pytest.approx(1e-3, rel=1e-4)
    plan = ["plan", "table1", "--environments", "Hopper-v4", "--workers", "1", "--results", str(tmp_path)]
    plan += ["--seeds", "1", "2", "3"]
    assert cli.main([*plan, "--machines", "cores=4,price=1"]) == 0
    assert "about 9:12:" in capsys.readouterr().out  # 33 runs of a million steps at 1 ms, and the random policy
    path.write_text('{"cpu": 3}')
    with pytest.raises(StoreError, match="make throughput"):
        read_costs(path)


def test_measured_speeds_do_not_change_what_is_a_stack(tmp_path, capsys):
    """Shards on machines of different speed must agree."""
    plan = ["plan", "table1", "--workers", "4", "--results", str(tmp_path)]
    said = []
    for _ in range(2):
        assert cli.main(plan) == 0
        said.append(capsys.readouterr().out.rpartition("to train: ")[2].partition(" steps, about ")[::2])
        write_measured(tmp_path / "throughput.json", "cpu", [Measured("Hopper-v4", "ppo", 1, 1.0)], {})
    assert said[0][0] == said[1][0]
    assert said[0][1] != said[1][1]


def test_speeds_are_measured_on_real_trainings(tmp_path, monkeypatch):
    ppo = dataclasses.replace(MUJOCO, num_steps=64, update_epochs=1)
    monkeypatch.setattr(command, "COMPARED", {"ppo": ppo, "cem": COMPARED["cem"]})
    monkeypatch.setattr(command, "ENVIRONMENTS", ("InvertedPendulum-v4",))
    monkeypatch.setattr(command, "COST_SECONDS", 0.0)
    monkeypatch.setattr(command, "BASELINE_ENVIRONMENT", "InvertedPendulum-v4")
    small = {"num_envs": 2, "num_steps": 4}
    games = {
        "ppo": dataclasses.replace(ATARI["ppo"], **small, minibatch_size=8, update_epochs=1),
        "acer": dataclasses.replace(ATARI["acer"], **small),
    }
    monkeypatch.setattr(atari, "ATARI", games)
    path = tmp_path / "results" / "throughput.json"
    assert command.main(["--costs", str(path)]) == 0
    held = json.loads(path.read_text())["cpu"]
    assert [(one["algorithm"], one["rows"]) for one in held["measured"]] == [
        ("ppo", 3),
        ("ppo", 33),
        ("cem", 30),
        ("cem", 120),
        ("ppo", 2),
        ("acer", 2),
    ]
    assert all(1e-6 < one["seconds"] / one["rows"] < 1 for one in held["measured"])
    assert held["machine"]
    assert read_costs(path)["cpu"].per_vector_step("InvertedPendulum-v4", "ppo", 33) < 33e-2


def test_a_learner_without_its_emulator_learns_from_what_it_met(monkeypatch):
    """The yardstick of throughput does all the work of a training but the emulation."""
    small = dataclasses.replace(ATARI["ppo"], num_envs=2, num_steps=4, minibatch_size=8, update_epochs=1)
    monkeypatch.setattr(atari, "ATARI", {"ppo": small})
    learner = build([atari.run_of("PongNoFrameskip-v4")])
    atari.without_emulator(learner)
    before, frames = learner.policy.parameters.detach().clone(), learner.env.get_state()["emulators"]
    learner.iterate()
    assert learner.steps_done == 16
    assert not torch.equal(before, learner.policy.parameters)
    assert learner.env.get_state()["emulators"] == frames
    learner.env.close()


def test_the_humanoids_physics_is_timed_from_the_states_that_the_environment_steps(tmp_path, capsys, monkeypatch):
    """Beside a policy that is written here; without one the command says so in one line."""
    monkeypatch.setattr(humanoid, "STEPS", 2)
    task = "RoboschoolHumanoidFlagrunHarder-v0(rules=1)"
    usual = HUMANOID["RoboschoolHumanoidFlagrunHarder-v0"]
    small = dataclasses.replace(usual, num_envs=2, num_steps=8, minibatch_size=16, update_epochs=1)
    run = Run(task, "ppo", "default", 1, 160, small)
    monkeypatch.setattr(humanoid, "RUNS", {task: run})
    measuring = ["--humanoid", "--policies", str(tmp_path), "--out", str(tmp_path), "--blocks", "2"]
    with pytest.raises(SystemExit, match="2"):
        command.main(measuring)
    assert f"there is no {tmp_path}/{task}_ppo.pt" in capsys.readouterr().err

    trained = TrainedPolicy(run, build([run]).policy, None, make(task, [0]).action_space)
    export(trained, tmp_path / f"{task}_ppo.pt")
    assert command.main(measuring) == 0
    assert "2 rows, training" in capsys.readouterr().out
    held = json.loads((tmp_path / "humanoid.json").read_text())["humanoid"][task]
    assert {name: len(seconds) for name, seconds in held.items()} == dict.fromkeys(held, 2)
    assert min(map(min, held.values())) > 0

    walk = humanoid.Walk(trained, 2)
    plain, actor = make(task, environment_seeds([1], 2)), trained.actor(1, deterministic=False)
    observations = plain.reset()
    for step in range(10):
        before = walk.env.sim.qpos[:, :3].copy()
        walk.step()
        observations = plain.step(actor(observations, step)).observations
    assert np.array_equal(walk.observations, observations)
    torsos = walk.env.sim.qpos[:, :3]
    apart = np.abs(walk.bare.qpos[:, :3] - torsos).max()
    assert 0 < 10 * apart < np.abs(torsos - before).max()  # the same step, but for the drag and the arms' axes


def test_the_table_in_the_docs_is_the_command_s(tmp_path, capsys):
    page = (RESULTS.parent / "docs" / "cluster.md").read_text()
    (command,) = re.findall(r"ppo (plan all --machines .*)", page)
    assert cli.main([*command.split(), "--results", str(tmp_path)], DOCUMENTED) == 0
    printed = capsys.readouterr().out.partition("from nothing")[2].splitlines()[1:]
    written = re.findall(r"^\| (?:`\w+`|together) \| \d+ cores .*$", page, re.MULTILINE)
    assert [re.sub(r"[|`]", "", row).split() for row in written] == [row.split() for row in printed]
