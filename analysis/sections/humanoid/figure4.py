"""Figure 4, the humanoid tasks beside the paper's two runs, Figure 5, and Table 4 with our settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.lines import Line2D

from analysis.data import calibration
from analysis.data.completeness import incomplete, titled
from analysis.data.endings import WHOLE, endings
from analysis.data.labels import task, without_arguments
from analysis.data.load import RUN, Data
from analysis.data.published import published
from analysis.data.scores import SPARSE, curve_grid, last_tenth, learning_curves
from analysis.style.colours import algorithm_lines
from analysis.style.drawing import DASHES, STYLE, Drawing, frame_panel, note_of, sentences, warn
from analysis.style.formats import NOTHING, Table, number

TASKS = {  # in the order of Figure 4, with the steps of its axes
    "RoboschoolHumanoid-v0": 50_000_000,
    "RoboschoolHumanoidFlagrun-v0": 100_000_000,
    "RoboschoolHumanoidFlagrunHarder-v0": 100_000_000,
}

STEPSIZE, LOG_STD = "Adam stepsize", "Log stdev. of action distribution"
TABLE4 = {  # the paper's rows: name, value, and our setting
    "Horizon (T)": ("512", "num_steps"),
    STEPSIZE: ("adjusted by the KL", "learning_rate"),
    "Num. epochs": ("15", "update_epochs"),
    "Minibatch size": ("4096", "minibatch_size"),
    "Discount (γ)": ("0.99", "gamma"),
    "GAE parameter (λ)": ("0.95", "gae_lambda"),
    "Number of actors": ("32 (locomotion), 128 (flagrun)", "num_envs"),
    LOG_STD: ("LinearAnneal(−0.7, −1.6)", "log_std_start"),
}

LEFT_OUT = {"lr_kl_target": 0.0, "anneal_log_std": False, "log_std_start": -0.7, "log_std_end": -1.6}
"""Settings that a manifest omits at their defaults, because runs were recorded before they existed."""

STILLS = "RoboschoolHumanoidFlagrun-v0(rules=1)_ppo_default_1.png"
"""What `ppo video --stills` makes of the policy that `figure4` keeps."""


def paper_last_tenth(environment: str, fraction: float = 1.0) -> list[float]:
    """Return the mean of each of the paper's two digitised curves over the last tenth of its axis, or of the first
    ``fraction`` of it."""
    curves = published("fig4_curves").query("env == @environment")
    steps, last = curves["timesteps_M"] * 1e6, fraction * TASKS[environment]
    late = curves[(steps > 0.9 * last) & (steps <= last)]
    return [float(mean) for mean in late.groupby("run")["return"].mean()]


def measured(data: Data) -> pd.DataFrame:
    """List the planned runs: RUN, `task`, `last_tenth` (of complete runs; NaN for others), `steps_done`,
    `total_timesteps`, the paper's two runs there (`paper_higher`, `paper_lower`), and the columns of `endings` in the
    last tenth."""
    runs = data.trained
    scores = last_tenth(data.episodes, runs[runs["complete"]]).rename(columns={"score": "last_tenth"})
    frame = runs[[*RUN, "total_timesteps", "steps_done"]].merge(scores, on=RUN, how="left")
    episodes = data.episodes.merge(runs.loc[runs["complete"], [*RUN, "total_timesteps"]], on=RUN)
    frame = frame.merge(endings(episodes[episodes["step"] > 0.9 * episodes["total_timesteps"]]), on=RUN, how="left")
    frame["rules"] = frame["environment"].str.endswith("(rules=1)").astype(int)
    frame["environment"] = frame["environment"].map(without_arguments)
    in_paper = [paper_last_tenth(environment) for environment in frame["environment"]]
    frame["task"] = frame["environment"].map(task)
    return frame.assign(paper_higher=[max(pair) for pair in in_paper], paper_lower=[min(pair) for pair in in_paper])


def figure4_table(data: Data) -> Table:
    """Tabulate the last tenth of each task's runs beside the paper's two."""
    numbers = measured(data) if len(data.trained) else pd.DataFrame(columns=[*RUN, "task", "last_tenth"])
    shown = pd.DataFrame(
        {
            "Task": environment,
            "Paper, its two runs": papers(environment),
            "Ours, each seed": seeds(numbers[numbers["environment"] == environment]),
            "Of its episodes whole (their return)": wholes(numbers[numbers["environment"] == environment]),
        }
        for environment in TASKS
    )
    caption = (
        "Mean return of the training episodes over the last tenth of the budget: 50M steps, and 100M of the flagruns. "
        "Paper: Figure 4, digitised. Ours: the same tasks rebuilt on MuJoCo, with Roboschool's rules of July 2017 "
        "(docs/humanoid.md says why, how they were checked and what differs from Bullet, in which the paper's runs "
        f"were simulated). Whole: ended by the limit of {WHOLE:,} steps and not by a fall."
    )
    title = "Figure 4 in numbers: the humanoid tasks"
    notes = (*_down(numbers), *calibration.notes(numbers), *incomplete(data))
    return Table("figure4", titled(title, data), caption, shown, numbers, notes)


def papers(environment: str) -> str:
    """Return the paper's two runs in the last tenth, for a cell."""
    return ", ".join(number(value) for value in sorted(paper_last_tenth(environment))[::-1])


def seeds(runs: pd.DataFrame) -> str:
    """Return the last tenth of each of ``runs`` of `measured`, or how far it is, for a cell."""
    known = [
        number(run["last_tenth"])
        if pd.notna(run["last_tenth"])
        else f"({run['steps_done'] / 1e6:.1f}M of {run['total_timesteps'] / 1e6:g}M steps)"
        for run in runs.to_dict("records")
    ]
    return ", ".join(known) + calibration.marks(runs[runs["last_tenth"].notna()]) or NOTHING


def wholes(runs: pd.DataFrame) -> str:
    """Return for each finished one of ``runs`` the share of whole episodes with their return, for a cell."""
    known = runs[runs["last_tenth"].notna()] if len(runs) else runs
    shares = [f"{run['whole']:.0%} ({number(run['whole_return'])})" for run in known.to_dict("records")]
    return ", ".join(shares) or NOTHING


def _down(runs: pd.DataFrame) -> list[str]:
    """Say in how many episodes of Flagrun harder the robot never stands up."""
    if runs.empty:
        return []
    harder = runs[runs["task"].str.endswith("Harder") & runs["last_tenth"].notna()]
    shares = ", ".join(f"{share:.0%}" for share in harder["never_up"])
    return [f"Flagrun harder: {shares} of these episodes end on the ground, where they began."] if shares else []


def table4(data: Data) -> Table:
    """Tabulate Table 4's settings beside those of our runs."""
    settings = [{**LEFT_OUT, **run["settings"]} for run in data.manifest["runs"]] if len(data.trained) else []
    shown = pd.DataFrame(
        {"Hyperparameter": words, "Paper": value, "Ours": _values(settings, words, name)}
        for words, (value, name) in TABLE4.items()
    )
    caption = (
        "Hyperparameters of section 6.3. The paper gives neither the KL that its step size is adjusted to, nor the "
        "rule, the clipping, the network or the normalisation: ours are in experiments/paper/settings.py."
    )
    return Table("table4", "Table 4. PPO hyperparameters for the humanoid tasks", caption, shown, shown, (), 3)


def _values(settings: list[dict[str, Any]], words: str, name: str) -> str:
    """Return the distinct values of a row among the runs, in order."""
    return "; ".join(dict.fromkeys(_value(of_run, words, name) for of_run in settings)) or NOTHING


def _value(settings: dict[str, Any], words: str, name: str) -> str:
    if words == STEPSIZE and settings["lr_kl_target"]:
        return f"{settings.get(name, NOTHING)} at first, then by a KL of {settings['lr_kl_target']}"
    if words == LOG_STD:
        return f"{settings[name]} to {settings['log_std_end']}" if settings["anneal_log_std"] else "learned"
    return f"{settings.get(name, NOTHING)}"


@dataclass(frozen=True)
class Line:
    """Runs that are drawn alike in every panel."""

    data: Data
    colour: str
    label: str
    setting: str = "default"


def panels(lines: Sequence[Line], tasks: Mapping[str, int]) -> Figure:
    """Draw the learning curves of ``lines``, each seed, beside the paper's two runs: a panel for each of ``tasks``,
    environment to steps of the axis. A point is the mean over the last part (`SPARSE`) of a hundredth of the budget."""
    figure = Figure(figsize=(14 * len(tasks) / 3, 4.2), layout="constrained")
    paper = published("fig4_curves")
    grid = figure.subplots(1, len(tasks), squeeze=False)[0]
    for axes, (environment, budget) in zip(grid, tasks.items(), strict=True):
        for _, curve in paper[paper["env"] == environment].groupby("run"):
            steps = curve["timesteps_M"] * 1e6
            axes.plot(steps, curve["return"], color="#333333", linewidth=1.2, linestyle=DASHES)
        curves = [_curves(line, environment) for line in lines]
        for line, ours in zip(lines, curves, strict=True):
            for _, run in ours.groupby("seed"):
                axes.plot(run["step"], run["mean_return"], color=line.colour, linewidth=1.6)
        empty = "" if any(map(len, curves)) else "no runs of ours yet"
        frame_panel(axes, environment.removesuffix("-v0"), budget, empty=empty)
    figure.supxlabel("Environment steps", fontsize=10)
    figure.supylabel("Episode return", fontsize=10)
    handles = [Line2D([], [], color=line.colour, linewidth=1.6, label=line.label) for line in lines]
    handles += [Line2D([], [], color="#333333", linewidth=1.2, linestyle=DASHES, label="paper, each run (digitised)")]
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles), fontsize=9)
    return figure


@matplotlib.rc_context(STYLE)
def figure4(data: Data) -> Drawing:
    """Draw Figure 4: learning curves of the humanoid tasks, ours and the paper's two runs, on the paper's axes."""
    figure = panels([Line(data, algorithm_lines(["ppo"])["ppo"].colour, "ours, each seed")], TASKS)
    note = note_of(data)
    warn(figure, note)
    caption = (
        "Return of training episodes against environment steps on the three humanoid tasks, rebuilt on MuJoCo. Ours: "
        f"at every hundredth of the budget the mean return of the episodes that ended in the last {SPARSE:.0%} of it. "
        "Dashed: the paper's two runs of each task, digitised."
    )
    tasks = data.trained["environment"].map(without_arguments).map(task)
    caption = " ".join([caption, *calibration.notes(data.trained.assign(task=tasks))])
    return Drawing("figure4", "Figure 4. PPO on 3D humanoid control tasks", sentences(caption, note), figure)


def _curves(line: Line, environment: str) -> pd.DataFrame:
    """Return the curves of one task's runs, on the grid of its budget, of the last part of each spacing."""
    data, runs = line.data, line.data.trained
    if len(runs):
        runs = runs[(runs["environment"].map(without_arguments) == environment) & (runs["setting"] == line.setting)]
    if runs.empty:
        return pd.DataFrame(columns=["seed", "step", "mean_return"])
    grid, _ = curve_grid(int(np.max(runs["total_timesteps"])))
    return learning_curves(data.episodes.merge(runs[RUN], on=RUN), grid, window=int(SPARSE * grid[0]))


@matplotlib.rc_context(STYLE)
def figure5(results: Path) -> Drawing | None:
    """Figure 5: stills of our Flagrun policy, as `ppo video --stills` put them into RESULTS/films; None before that."""
    try:
        picture = imread(results / "films" / STILLS)
    except (OSError, ValueError, SyntaxError):  # Pillow's for a file that is cut short, or no picture
        return None
    height, width = picture.shape[:2]
    figure = Figure(figsize=(14, 14 * height / width), layout="constrained")
    axes = figure.subplots()
    axes.imshow(picture)
    axes.set_axis_off()
    caption = (
        "One episode of our final Flagrun policy, in the order of reading. Red: the flag, which moves when the robot "
        "reaches it or after 150 steps; the arrow on the floor points to it. White: where the robot has walked. Each "
        "picture has its step and the return so far."
    )
    return Drawing("figure5", "Figure 5. Stills of the policy on RoboschoolHumanoidFlagrun", caption, figure)
