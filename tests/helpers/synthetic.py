"""Synthetic results with known answers. Data like these exist in tests only."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.data.labels import ENVIRONMENTS, SETTINGS, UNTRAINED
from experiments.paper.humanoid import figure4, figure4_readings, figure4_settings, figure4_tuning
from experiments.paper.profiles import PROFILES
from experiments.paper.protocol import Protocol
from experiments.paper.readings import DESIGN
from experiments.paper.study import readings, readings_best
from experiments.run import Run, settings_to_json

EPISODE = 500
BUDGET = 20_000
ATARI_BUDGET = 10_000_000


def planned(environment: str, setting: str, seed: int, **changes: Any) -> dict[str, Any]:
    """One run of a manifest, finished unless `changes` say otherwise."""
    return {
        "environment": f"{environment}-v4",
        "algorithm": "ppo",
        "setting": setting,
        "seed": seed,
        "total_timesteps": BUDGET,
        "steps_done": BUDGET,
        "status": "finished",
        "diverged_at": None,
        "settings": {},
        "versions": {"torch": "2", "numpy": "2"},
        "commit": "0123abc",
        "machine": "test",
        "processor": {
            "family": "arm64",
            "model": "Apple M2",
            "microarchitecture": "apple-m2",
            "vector_extensions": {"torch": "DEFAULT", "numpy": "NEON ASIMD"},
        },
        "device": "cpu",
        "threads": 1,
        "wall_time": 60.0,
        **changes,
    }


def level(environment: str, setting: str, seed: int) -> float:
    """The constant return of a run: 0 untrained; setting i of 11 has 10 (i + 1), seeds 1 and 2 one below and above.

    The scale differs between environments: times 1, 2, ... 7.
    """
    if setting == UNTRAINED:
        return 0.0
    return (10 * (SETTINGS.index(setting) + 1) + (-1.0) ** seed) * (ENVIRONMENTS.index(environment) + 1.0)


def episodes_of(run: dict[str, Any], value: npt.ArrayLike, length: int = EPISODE) -> pd.DataFrame:
    """Episodes of `length` steps until the run's last step; `value`: their return, or one each."""
    steps = np.arange(length, run["steps_done"] + 1, length, dtype=np.int64)
    return pd.DataFrame(
        {
            **{name: run[name] for name in ("environment", "algorithm", "setting")},
            "seed": np.int64(run["seed"]),
            "step": steps,
            "episodic_return": np.broadcast_to(np.asarray(value, dtype=float), len(steps)),
            "episodic_length": np.full(len(steps), length, dtype=np.int32),
        }
    )


def write(
    results: Path,
    protocol: str,
    runs: list[dict[str, Any]],
    rows: list[pd.DataFrame],
    profile: str,
    **more: Any,
) -> None:
    """`more` goes into the manifest."""
    directory = results / protocol
    directory.mkdir(parents=True, exist_ok=True)
    pd.concat(rows).to_parquet(directory / "episodes.parquet", index=False)
    manifest = {"protocol": protocol, "profile": profile, "runs": runs, **more}
    (directory / "manifest.json").write_text(json.dumps(manifest))


def keep(run: dict[str, Any]) -> dict[str, Any]:
    return run


def write_table1(
    results: Path,
    change: Callable[[dict[str, Any]], dict[str, Any] | None] = keep,
    profile: str = "paper",
    value: Callable[[str, str, int], float] = level,
    seeds: Callable[[str], Sequence[int]] = lambda setting: (1, 2),
) -> Path:
    """RESULTS/table1 with the `seeds(setting)` of every setting and environment.

    `value(environment, setting, seed)` is a run's constant return; `change(run)` may alter a run, or drop it.
    """
    runs, rows = [], []
    for environment in ENVIRONMENTS:
        for setting in (*SETTINGS, UNTRAINED):
            for seed in seeds(setting):
                run = change(planned(environment, setting, seed))
                if run is not None:
                    runs.append(run)
                    rows.append(episodes_of(run, value(environment, setting, seed)))
    write(results, "table1", runs, rows, profile)
    return results


def write_figure3(
    results: Path,
    algorithms: tuple[str, ...] = ("ppo",),
    profile: str = "paper",
    value: Callable[[dict[str, Any]], float] = lambda run: 100.0 * run["seed"],
    change: Callable[[dict[str, Any]], dict[str, Any] | None] = keep,
    seeds: Sequence[int] = (1, 2),
) -> Path:
    """RESULTS/figure3 with `seeds` of every algorithm, and of the untrained policy (return 0), on every environment.

    `value(run)` is a run's constant return; `change(run)` may alter a run, or drop it.
    """
    named = [(algorithm, "clip-0.2" if algorithm == "ppo" else "default") for algorithm in algorithms]
    made = [
        change(planned(environment, setting, seed, algorithm=algorithm))
        for environment in ENVIRONMENTS
        for algorithm, setting in [*named, ("ppo", UNTRAINED)]
        for seed in seeds
    ]
    runs = [run for run in made if run is not None]
    rows = [episodes_of(run, 0.0 if run["setting"] == UNTRAINED else value(run)) for run in runs]
    write(results, "figure3", runs, rows, profile)
    return results


def write_atari(
    results: Path,
    games: Sequence[str],
    value: Callable[[dict[str, Any]], npt.ArrayLike],
    fraction: float | None = None,
    change: Callable[[dict[str, Any]], dict[str, Any] | None] = keep,
    profile: str = "paper",
) -> Path:
    """RESULTS/atari, seeds 1, 2, 3 of A2C, ACER and PPO on `games`: 200 episodes a run, their returns `value(run)`.

    With a `fraction` the manifest says that the runs were stopped there on purpose.
    """
    steps = int(ATARI_BUDGET * (fraction or 1))
    made = [
        change(
            planned(
                f"{game}NoFrameskip", "default", seed,
                algorithm=algorithm, total_timesteps=ATARI_BUDGET, steps_done=steps,
            )
        )
        for game in games
        for algorithm in ("ppo", "a2c", "acer")
        for seed in (1, 2, 3)
    ]  # fmt: skip
    runs = [run for run in made if run is not None]
    rows = [episodes_of(run, value(run), length=steps // 200) for run in runs]
    write(results, "atari", runs, rows, profile, **({} if fraction is None else {"fraction": fraction}))
    return results


def write_readings(
    results: Path, value: Callable[[Run, Mapping[str, str]], float], curves: Callable[[Run, Mapping[str, str]], float]
) -> Path:
    """RESULTS/readings: the study's own runs, of `BUDGET` steps; a run's constant return is `value(run, levels)`, and
    each of Figure 2's curves is `curves(run, levels)` at x = 1."""
    protocol = readings(PROFILES["paper"])

    def levels(run: Run) -> Mapping[str, str]:
        return DESIGN[run.setting.partition("+")[2]]

    def entry(run: Run) -> dict[str, Any]:
        task = run.environment.removesuffix("-v4")
        return planned(task, run.setting, run.seed, settings=settings_to_json(run.settings))

    runs = [entry(run) for run in protocol.runs]
    rows = [episodes_of(one, value(run, levels(run)), 5_000) for one, run in zip(runs, protocol.runs, strict=True)]
    write(results, "readings", runs, rows, "paper")
    names = ("kl", "surrogate_cpi", "surrogate_clipped", "surrogate_clip")
    table = [
        {"environment": run.environment, "setting": run.setting, "seed": run.seed, "interpolation": 1.0}
        | dict.fromkeys(names, curves(run, levels(run)))
        for run in protocol.first_updates
    ]
    (results / "readings" / "figure2").mkdir()
    pd.DataFrame(table).to_parquet(results / "readings" / "figure2" / "interpolation.parquet", index=False)
    return results


TRIED = {
    "a2c": {"learning_rate=0.001": 10.0, "learning_rate=0.0001": 30.0, "learning_rate=0.01": -5000.0},
    "a2c-trust-region": {
        "learning_rate=0.001,trust_region_delta=1": 40.0,
        "learning_rate=0.001,trust_region_delta=0.1": 20.0,
        "trust_region_delta=0.1": 7.0,
    },
    "cem": {"population=50": 5.0, "population=20": 6.0},
}
"""The settings of `write_tuning` and what each returns on HalfCheetah with seed 0."""


def write_tuning(results: Path) -> Path:
    """RESULTS/tuning, seeds 201 and 202: return as in TRIED + seed - 200; ten times that on Reacher; untrained: 0."""
    runs, rows = [], []
    for environment, scale in (("Reacher", 10.0), ("HalfCheetah", 1.0)):
        for algorithm, tried in reversed(TRIED.items()):
            for setting, value in tried.items():
                for seed in (201, 202):
                    settings = {"learning_rate": 0.0007, "population": 1}
                    runs.append(planned(environment, setting, seed, algorithm=algorithm, settings=settings))
                    rows.append(episodes_of(runs[-1], scale * (value + seed - 200)))
        runs.append(planned(environment, "untrained", 201))
        rows.append(episodes_of(runs[-1], 0.0))
    write(results, "tuning", runs, rows, "paper")
    return results


def write_none_on_reacher(results: Path, values: dict[str, float]) -> Path:
    """RESULTS/none-on-reacher: two seeds of each change, of the return that it has in `values`."""
    runs = [planned("Reacher", f"none+{change}", seed) for change in values for seed in (101, 102)]
    rows = [episodes_of(run, values[run["setting"].partition("+")[2]] + run["seed"] - 101) for run in runs]
    write(results, "none-on-reacher", runs, rows, "paper")
    return results


def write_klip_ppo(
    results: Path,
    value: Callable[[dict[str, Any]], npt.ArrayLike] = lambda run: 100.0 * run["seed"],
    change: Callable[[dict[str, Any]], dict[str, Any] | None] = keep,
) -> Path:
    """RESULTS/klip-ppo: five seeds of three objectives on three tasks, three of the per-sample KL on HalfCheetah.

    `value(run)` is the return of a run's 40 episodes, or one each; `change(run)` may alter a run, or drop it.
    """
    made = [
        change(planned(environment, f"{objective}+klip-ppo", seed))
        for environment in ("HalfCheetah", "Hopper", "Walker2d")
        for objective in ("clip-0.2", "fixed-kl-1", "adaptive-kl-0.02")
        for seed in range(301, 306)
    ]
    made += [
        change(planned("HalfCheetah", "clip-0.2+klip-ppo", seed, algorithm="per-sample-kl")) for seed in range(301, 304)
    ]
    runs = [run for run in made if run is not None]
    write(results, "klip-ppo", runs, [episodes_of(run, value(run)) for run in runs], "paper")
    return results


def write_atari_readings(results: Path, value: Callable[[dict[str, Any]], float]) -> Path:
    """RESULTS/atari-readings: the first tenth of two seeds of its settings on two games, of return `value(run)`; of the
    usual settings on BankHeist 6.4M frames, as of `atari`."""
    runs = [
        planned(
            f"{game}NoFrameskip", setting, seed, total_timesteps=ATARI_BUDGET, steps_done=round(part * ATARI_BUDGET)
        )
        for game in ("Breakout", "BankHeist")
        for setting in ("default", "ppo2", "ppo1", "a3c")
        for seed in (1, 2)
        for part in (0.16 if (game, setting) == ("BankHeist", "default") else 0.1,)
    ]
    write(results, "atari-readings", runs, [episodes_of(run, value(run), 5000) for run in runs], "paper", fraction=0.1)
    return results


def write_acer_changes(results: Path, values: dict[str, float]) -> Path:
    """RESULTS/acer-on-breakout: the first tenth of a seed of each change, of the return that it has in `values`."""
    done = {"total_timesteps": ATARI_BUDGET, "steps_done": ATARI_BUDGET // 10, "algorithm": "acer"}
    runs = [planned("BreakoutNoFrameskip", change, 1, **done) for change in values]
    rows = [episodes_of(run, values[run["setting"]], 5000) for run in runs]
    write(results, "acer-on-breakout", runs, rows, "paper", fraction=0.1)
    return results


def write_readings_best(results: Path) -> Path:
    """RESULTS/readings-best: every run, a hundred episodes each whose return is the seed."""
    return _write_planned(results, readings_best(PROFILES["paper"]), lambda run: run.seed, "paper")


def write_precision(results: Path, games: int = 400, length: int = 25) -> Path:
    """RESULTS/precision: game n of the float32 run of Pong pays n, of the one in bfloat16 2 n."""
    runs, rows, steps = [], [], games * length
    for setting, factor in (("default", 1.0), ("bfloat16", 2.0)):
        run = planned("Pong", setting, 1, total_timesteps=steps, steps_done=steps)
        run["environment"] = "PongNoFrameskip-v4"
        runs.append(run)
        rows.append(episodes_of(run, factor * np.arange(1.0, games + 1), length))
    write(results, "precision", runs, rows, "paper")
    return results


def write_humanoids(results: Path, profile: str = "paper") -> Path:
    """RESULTS/figure4: every run of the profile, a hundred episodes each whose return is 100 x the seed."""
    return _write_planned(results, figure4(PROFILES[profile]), lambda run: 100.0 * run.seed, profile)


def write_humanoid_readings(results: Path) -> Path:
    """RESULTS/figure4-readings: every run, a hundred episodes each whose return is 10 x the seed, or
    with limits as ends the seed."""

    def value(run: Run) -> float:
        return run.seed * (1.0 if "bootstrap_truncation" in run.setting else 10.0)

    return _write_planned(results, figure4_readings(PROFILES["paper"]), value, "paper")


def write_humanoid_tuning(
    results: Path,
    value: Callable[[Run], float] = lambda run: run.seed,
    change: Callable[[dict[str, Any]], dict[str, Any] | None] = keep,
) -> Path:
    """RESULTS/figure4-tuning: every run, a hundred episodes each that return `value(run)`; `change(run)` may alter a
    run of the manifest, or drop it."""
    return _write_planned(results, figure4_tuning(PROFILES["paper"]), value, "paper", change)


def write_humanoid_settings(results: Path, value: Callable[[Run], float]) -> Path:
    """RESULTS/figure4-settings: the first fifth of every change. Of two episodes that follow each other the first
    returns `value(run)` and the second 10 more, but before 18M steps 1,000 more; the last four last 1,000, 170, 170 and
    300 steps."""
    runs, rows = [], []
    for run in figure4_settings(PROFILES["paper"]).trained:
        done = {"total_timesteps": run.total_timesteps, "steps_done": run.total_timesteps // 5}
        entry = planned("", run.setting, run.seed, **done) | {"environment": run.environment}
        runs.append(entry)
        steps = np.concatenate([np.arange(0.05e6, 18e6, 0.1e6), [18.1e6, 18.15e6, 19.9e6, 19.95e6]]).astype(np.int64)
        returns = value(run) + 10.0 * (np.arange(len(steps)) % 2) + 1000.0 * (steps < 18e6)
        lengths = np.append(np.full(len(steps) - 4, 500), [1000, 170, 170, 300])
        episodes = pd.concat([episodes_of({**entry, "steps_done": 1}, 0.0, length=1)] * len(steps), ignore_index=True)
        rows.append(episodes.assign(step=steps, episodic_return=returns, episodic_length=lengths.astype(np.int32)))
    write(results, "figure4-settings", runs, rows, "paper", fraction=0.2)
    return results


def _write_planned(
    results: Path,
    protocol: Protocol,
    value: Callable[[Run], float],
    profile: str,
    change: Callable[[dict[str, Any]], dict[str, Any] | None] = keep,
) -> Path:
    runs, rows = [], []
    for run in protocol.trained:
        steps = {"total_timesteps": run.total_timesteps, "steps_done": run.total_timesteps}
        settings = settings_to_json(run.settings)
        entry = change(
            {**planned("", run.setting, run.seed, **steps, settings=settings), "environment": run.environment}
        )
        if entry is not None:
            runs.append(entry)
            rows.append(episodes_of(entry, value(run), length=run.total_timesteps // 100))
    write(results, protocol.name, runs, rows, profile)
    return results


def write_figure2(results: Path, protocol: str = "figure2", settings: Sequence[str] = ("clip-0.2",)) -> Path:
    """RESULTS/PROTOCOL with the curves KL = x^2 / 50, E[rA] = x s / 20, and so on, for seeds s = 1 and 2 of each
    setting."""
    x = np.linspace(-0.5, 2.0, 26)
    rows = [
        pd.DataFrame(
            {
                "environment": "Hopper-v4",
                "setting": setting,
                "seed": seed,
                "interpolation": x,
                "kl": x**2 / 50,
                "surrogate_cpi": x * seed / 20,
                "surrogate_clipped": np.minimum(x, 1) / 25,
                "surrogate_clip": (x - x**2 / 2) / 15,
            }
        )
        for setting in settings
        for seed in (1, 2)
    ]
    (results / protocol).mkdir(parents=True, exist_ok=True)
    pd.concat(rows).to_parquet(results / protocol / "interpolation.parquet", index=False)
    return results
