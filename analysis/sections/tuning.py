"""The tuning of the comparison algorithms: the score of every setting that was tried."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.data.completeness import dagger, incomplete, reasons, titled
from analysis.data.labels import ALGORITHMS, ENVIRONMENTS, algorithm_name, ordered, task, values
from analysis.data.load import Data
from analysis.data.scores import random_levels, scored
from analysis.style.cells import seeds_cell
from analysis.style.drawing import DASHES, STYLE, Drawing, limits_above, note_of, sentences, tell_lowest, warn
from analysis.style.formats import NOTHING, Table, number

AXIS = "learning_rate"
"""The setting on the horizontal axis if an algorithm varies it; otherwise the one that it varies most."""
SCALING = "norm_reward"
"""The setting with separate panels and a separate column: all sweeps are crossed with it."""
SCALINGS = ("none", "reset", "never-reset")
SWEEP = ["algorithm", "total_timesteps"]
"""Only settings of one algorithm with equal budgets are compared."""
MAX_TICKS = 3
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def measured(data: Data, runs: pd.DataFrame) -> pd.DataFrame:
    """List a row per algorithm, setting and task, settings in the manifest's order; `runs`: from `scored`.

    Means over the complete runs: `score` (last 100 episodes), `last_tenth`; `runs`, `planned`, `total_timesteps`; and
    `best`: whether no setting of that algorithm with the same budget scores higher on that task.
    """
    keys = ["algorithm", "setting", "task"]
    trained = data.trained.assign(task=data.trained["environment"].map(task))
    planned = trained.groupby(keys, sort=False, as_index=False).agg(
        planned=("seed", "size"), total_timesteps=("total_timesteps", "max")
    )
    means = runs.groupby(keys, as_index=False).agg(
        score=("score", "mean"), last_tenth=("last_tenth", "mean"), runs=("seed", "size")
    )
    frame = planned.merge(means, on=keys, how="left").astype({"score": float, "last_tenth": float})
    frame["runs"] = frame["runs"].fillna(0).astype(int)
    frame["best"] = frame["score"] == frame.groupby([*SWEEP, "task"])["score"].transform("max")
    known = ordered(frame["algorithm"], ALGORITHMS)
    return frame.sort_values("algorithm", key=lambda column: column.map(known.index), kind="stable", ignore_index=True)


def judged(data: Data, numbers: pd.DataFrame) -> pd.DataFrame:
    """List the criteria of choice: a row per algorithm and setting with all its runs; `numbers`: from `measured`.

    `relative`: (score - untrained) / (best of its sweep - untrained), mean over the tasks. `smoothed`: mean of that
    over the setting and its neighbours, since with one seed the best of many is the luckiest. `chosen`: highest of
    the algorithm's longest sweep that has a score.
    """
    random = random_levels(data.episodes)
    random.index = random.index.map(task)
    low = numbers["task"].map(random).astype(float)
    best = numbers.groupby([*SWEEP, "task"])["score"].transform("max")
    numbers = numbers.assign(relative=(numbers["score"] - low) / (best - low).where(best > low))
    pieces = []
    for (algorithm, _), group in numbers.groupby(SWEEP, sort=False):
        by_task = group.pivot(index="setting", columns="task", values="relative")
        relative = by_task.mean(axis=1, skipna=False).reindex(group["setting"].unique())
        near = [float(relative[neighbours(setting, list(relative.index))].mean()) for setting in relative.index]
        piece = pd.DataFrame({"setting": relative.index, "relative": relative.to_numpy(), "smoothed": near})
        piece["smoothed"] = piece["smoothed"].where(piece["relative"].notna())
        pieces.append(piece.assign(algorithm=str(algorithm), steps=group["total_timesteps"].max()))
    columns = ["algorithm", "setting", "relative", "smoothed", "chosen"]
    if not pieces:
        return pd.DataFrame(columns=columns)
    frame = pd.concat(pieces, ignore_index=True)
    longest = frame["steps"].where(frame["smoothed"].notna()).groupby(frame["algorithm"]).transform("max")
    candidates = frame["smoothed"].where(frame["steps"] == longest)
    return frame.assign(chosen=candidates == candidates.groupby(frame["algorithm"]).transform("max"))[columns]


def neighbours(setting: str, tried: list[str]) -> list[str]:
    """List those of ``tried`` whose fractional values are at most one step of the sweep away and all others equal."""
    fixed = values(setting)
    like = [other for other in tried if values(other).keys() == fixed.keys()]
    steps: dict[str, list[float]] = {}
    for name in fixed:
        steps_of = {values(other)[name] for other in like}
        if all("." in value or "e-" in value for value in steps_of):
            steps[name] = sorted(float(value) for value in steps_of)

    def near(other: dict[str, str], name: str) -> bool:
        if name not in steps:
            return other[name] == fixed[name]
        return abs(steps[name].index(float(other[name])) - steps[name].index(float(fixed[name]))) <= 1

    return [other for other in like if all(near(values(other), name) for name in fixed)]


def scalings(data: Data) -> dict[tuple[str, str], str]:
    """Return the reward scaling of each algorithm's setting; "" without such a setting."""
    runs = data.manifest.get("runs", ())
    return {(run["algorithm"], run["setting"]): str((run.get("settings") or {}).get(SCALING, "")) for run in runs}


def tuning(data: Data) -> Table:
    """Tabulate per algorithm and setting: the score on each task, each seed, and the criteria of choice."""
    runs = scored(data)
    scaling = scalings(data)
    numbers = measured(data, runs)
    judgement = judged(data, numbers)
    verdicts = {(row["algorithm"], row["setting"]): row for row in judgement.to_dict("records")}
    tasks = ordered(numbers["task"], ENVIRONMENTS)
    cells = {key: seeds_cell(seeds) for key, seeds in runs.groupby(["algorithm", "setting", "task"])}
    rows = []
    for (algorithm, setting), group in numbers.groupby(["algorithm", "setting"], sort=False):
        best = ordered(group.loc[group["best"], "task"], ENVIRONMENTS)
        verdict = verdicts[str(algorithm), str(setting)]
        rows.append(
            [
                algorithm_name(str(algorithm)),
                _shown(values(str(setting)), SCALING) or (NOTHING if values(str(setting)) else str(setting)),
                scaling[str(algorithm), str(setting)] or NOTHING,
                f"{int(group['total_timesteps'].max()):,}",
                *(cells.get((algorithm, setting, name), NOTHING) for name in tasks),
                ", ".join(best) or NOTHING,
                number(verdict["relative"], 2),
                number(verdict["smoothed"], 2) + (" ← chosen" if verdict["chosen"] else ""),
            ]
        )
    caption = (
        "What was tried for the comparison algorithms, of which the paper gives no setting. Mean return of the last "
        "100 training episodes: the mean over seeds, in brackets each; × marks a run that diverged. norm_reward: "
        "rewards are taken as they are (none), or divided by the running deviation of the discounted return, which "
        "starts at 0 after each episode (reset) or never (never-reset). Settings are "
        "compared with those of the same algorithm that were trained as long. Best on: no other has a higher mean. "
        "Relative: 0 is the untrained policy, 1 the best score, mean over the tasks. Smoothed: the mean of that over "
        "the setting and its neighbours in the sweep, by which it was chosen, from the longest sweep. The seeds are "
        "reported nowhere else."
    )
    title = "Every setting that was tried"
    show = pd.DataFrame(
        rows, columns=["Algorithm", "Setting", SCALING, "Steps", *tasks, "Best on", "Relative", "Smoothed"]
    )
    numbers = numbers.merge(judgement, on=["algorithm", "setting"], how="left")
    numbers[SCALING] = [scaling[pair] for pair in zip(numbers["algorithm"], numbers["setting"], strict=True)]
    return Table("tuning", titled(title, data), caption, show, numbers, incomplete(data), text_columns=3)


def points(data: Data) -> pd.DataFrame:
    """Return the points of the figure: `axis` (the setting of x), `x`, `scaling` (of the rewards; "" without such a
    setting) and `line` (the setting's other values).

    A value that a setting's name omits is taken from the run's settings in the manifest; if an algorithm has sweeps of
    several lengths, `line` begins with the steps. Runs whose x is not positive have no place on a logarithmic axis and
    are left out.
    """
    runs = scored(data)
    stored = {(run["algorithm"], run["setting"]): run.get("settings") or {} for run in data.manifest["runs"]}
    scaling = scalings(data)
    pieces = []
    for algorithm, group in runs.groupby("algorithm", sort=False):
        settings = {setting: values(str(setting)) for setting in group["setting"]}
        axis = _axis(list(settings.values()))
        full = {s: {**stored.get((algorithm, s), {}), **named} for s, named in settings.items()}
        lengths = group["total_timesteps"].map("{:,} steps".format)
        piece = group.assign(
            axis=axis,
            x=pd.to_numeric(pd.Series([full[s].get(axis) for s in group["setting"]], group.index), errors="coerce"),
            line=[
                ", ".join(filter(None, (length * (lengths.nunique() > 1), _shown(settings[s], axis, SCALING))))
                for s, length in zip(group["setting"], lengths, strict=True)
            ],
            scaling=[scaling[str(algorithm), str(setting)] for setting in group["setting"]],
        )
        pieces.append(piece[np.isfinite(piece["x"]) & (piece["x"] > 0)])
    return pd.concat(pieces) if pieces else runs.assign(axis="", x=np.nan, line="", scaling="")


def _axis(settings: list[dict[str, str]]) -> str:
    varied = {
        name: {setting.get(name) for setting in settings} for setting in settings for name in setting if name != SCALING
    }
    names = [name for name, distinct in varied.items() if len(distinct) > 1] or list(varied) or [AXIS]
    return AXIS if AXIS in names else max(names, key=lambda name: len(varied.get(name, ())))


def _shown(named: dict[str, str], *without: str) -> str:
    return ", ".join(f"{name} = {value}" for name, value in named.items() if name not in without)


@matplotlib.rc_context(STYLE)
def figure(data: Data) -> Drawing:
    """Draw scores against the tuned setting: a row of panels per algorithm, one panel per task and reward scaling."""
    runs = points(data)
    algorithms = ordered(runs["algorithm"], ALGORITHMS) or ordered(data.trained["algorithm"], ALGORITHMS)
    tasks = ordered(runs["task"], ENVIRONMENTS) or ordered(data.trained["environment"].map(task), ENVIRONMENTS)
    limits = {name: _limits(runs.loc[runs["task"] == name, "score"]) for name in tasks}
    width = int(runs.groupby("algorithm")["scaling"].nunique().max()) if len(runs) else 1
    columns = width * len(tasks)
    drawn = Figure(figsize=(2.2 * max(columns, 4) + 2.0, 2.3 * len(algorithms) + 0.5), layout="constrained")
    panels = drawn.subplots(len(algorithms), columns, squeeze=False)
    for row, algorithm in zip(panels, algorithms, strict=True):
        scores = runs[runs["algorithm"] == algorithm]
        blocks = {name: list(row[place * width :][:width]) for place, name in enumerate(tasks)}
        _row(blocks, scores, limits)
        row[0].set_ylabel(algorithm_name(algorithm) + dagger(data.trained[data.trained["algorithm"] == algorithm]))
        if any(scores["line"]):
            lines = {label: line for axes in row for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
            beside = 1.02 if row[-1].axison else 0.0  # to the right of the last panel, or in its place
            row[-1].legend(lines.values(), lines, fontsize=7, loc="center left", bbox_to_anchor=(beside, 0.5))
    note = note_of(data)
    warn(drawn, note)
    caption = (
        "What was tuned, and the score it gave (mean return of the last 100 training episodes): dots are the seeds, "
        "lines their means; where several values were varied, the legend beside a row says what a line is. "
        f"{SCALING}: how rewards are scaled; an algorithm that tried nothing else is in the table alone. Where a score "
        "lies below the panel, the panel says how far the lowest."
    )
    caption = " ".join([caption, *reasons(data.trained)])
    return Drawing("tuning", "Scores against what was tuned", sentences(caption, note), drawn)


def _limits(scores: pd.Series[float]) -> tuple[float, float]:
    """Return the vertical limits of a task's panels: bad scores, those below the lower quartile, may be cut off."""
    if scores.empty:
        return 0.0, 1.0
    margin = 0.05 * float(scores.max() - scores.min()) or 1.0
    whole = float(scores.min()) - margin, float(scores.max()) + margin
    return limits_above({"": scores}, float(scores.quantile(0.25))) or whole


def _row(blocks: dict[str, list[Axes]], runs: pd.DataFrame, limits: dict[str, tuple[float, float]]) -> None:
    """Draw an algorithm's `runs`: in each task's block one panel for each reward scaling; the rest stay empty."""
    tried = ordered(runs["scaling"], SCALINGS) or [""]
    lines = list(dict.fromkeys(runs["line"]))
    ticks = sorted(set(runs["x"]))
    shown = ticks[:: len(ticks) // MAX_TICKS + 1]
    for name, block in blocks.items():
        for axes in block[len(tried) :]:
            axes.axis("off")
        for axes, scaling in zip(block, tried, strict=False):
            _panel(axes, runs[(runs["task"] == name) & (runs["scaling"] == scaling)], lines, limits[name])
            axes.set_title(f"{name}\n{SCALING} = {scaling}" if scaling else name, fontsize=8)
            axes.tick_params(labelleft=axes is block[0])
            axes.set_xticks(shown, [f"{tick:g}" for tick in shown], fontsize=7)
            axes.set_xlabel(", ".join(dict.fromkeys(runs["axis"])))
            if ticks:
                axes.set_xlim(ticks[0] / 1.3, ticks[-1] * 1.3)


def _panel(axes: Axes, runs: pd.DataFrame, lines: list[str], limits: tuple[float, float]) -> None:
    """Draw `runs`; each of the algorithm's `lines` has the same colour in every panel."""
    axes.set_xscale("log")
    axes.minorticks_off()
    for line, drawn in runs.groupby("line", sort=False):
        place = lines.index(str(line))
        colour, style = LINES[place % len(LINES)], "-" if place < len(LINES) else DASHES
        means = drawn.groupby("x")["score"].mean()
        axes.plot(drawn["x"], drawn["score"], "o", color=colour, markersize=3, alpha=0.6)
        axes.plot(means.index.to_numpy(), means.to_numpy(), color=colour, linewidth=1.6, linestyle=style, label=line)
    axes.set_ylim(*limits)
    tell_lowest(axes, {f"{x:g}": group["score"] for x, group in runs.groupby("x")}, limits[0])
