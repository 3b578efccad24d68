"""The tables and the figure of the study of readings."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.data.completeness import incomplete, titled
from analysis.data.load import Data
from analysis.sections.readings import choice
from analysis.sections.readings.model import (
    CROSSED,
    DETAILS,
    RESPONSES,
    Model,
    aliases,
    combinations,
    levels_of,
    measured,
    models,
    signed_exp,
    signed_log,
)
from analysis.style.drawing import STYLE, Drawing, note_of, sentences, warn
from analysis.style.formats import NOTHING, Table, interval, number

DIGITS = {"clip": 0, "none": 2, "pendulum": 0}
"""Decimals of a response's numbers; those of Figure 2 have four."""
NAMED = 4
"""Number of interactions of an alias chain that are named."""
GREY, BLUE = "#999999", "#0072B2"


@dataclass(frozen=True)
class Study:
    """The data of the study and the fitted models."""

    data: Data
    levels: pd.DataFrame
    values: pd.DataFrame
    fitted: dict[str, Model]


def study(data: Data, updates: pd.DataFrame | None) -> Study:
    """Fit the models to the data; `updates`: interpolation.parquet of the first updates, or None."""
    levels, values = levels_of(data), measured(data, updates)
    return Study(data, levels, values, models(values, levels))


def tables(study: Study) -> list[Table]:
    """Make every table of the study, the effects first."""
    return [effects(study), cells(study), points(study), best(study), alias_chains(study)]


def effects(study: Study) -> Table:
    """Tabulate the effect of each alternative to a level of ppo2 on each response."""
    levels = [(name, level) for name, detail in DETAILS.items() for level in list(detail.levels.values())[1:]]
    show = pd.DataFrame({"Detail": [label(name, level) for name, level in levels]})
    facts = []
    for name, response in RESPONSES.items():
        rows = study.fitted[name].effects().to_dict("records") if name in study.fitted else []
        facts += [{"response": name, **row} for row in rows]
        show[response.words] = [_effect(row, name) for row in rows] or NOTHING
    every = len(levels) * len(RESPONSES)
    caption = (
        "What each detail that the text leaves open does: the difference that a level makes to the level of ppo2 as "
        "released in 2017-11 (named behind it), on average over the levels of all other details, with its 95 % t "
        "interval; * marks an interval without 0. A linear model of each response over 24 designed readings, fitted by "
        "least squares to every seed, with a constant for each: reward scaling, gradient clip and advantages with all "
        "their interactions, the nine others' main effects. Scores are of the last 100 episodes; of the row without "
        "clipping or penalty the signed logarithm asinh(return / 1000), so that a single deep fall does not rule. "
        "Figure 2's numbers are those at the updated policy. The pendulum's force cannot act on HalfCheetah or Hopper: "
        f"what stands there is chance. Of {every} intervals about {0.05 * every:.0f} would miss 0 by chance alone. All "
        "of this is calibration."
    )
    return _table("readings_effects", "What each detail does", caption, show, pd.DataFrame(facts), study)


def cells(study: Study) -> Table:
    """Tabulate the means of each combination of the three details that are fully crossed."""
    rows, facts = [], []
    for cell, inside in combinations(study.levels).items():
        values = study.values[study.values["point"].isin(inside)].groupby("response")["value"]
        means = values.mean().reindex(list(RESPONSES)).astype(float)
        none = study.values[(study.values["response"] == "none") & study.values["point"].isin(inside)]["value"]
        sunk = int((none < float(signed_log(choice.random_level()))).sum())
        facts.append({**dict(zip(CROSSED, cell, strict=True)), **means, "none_sinks": sunk, "none_runs": len(none)})
        shown = {RESPONSES[name].words: formatted(means[name], name) for name in RESPONSES}
        shown[RESPONSES["none"].words] = number(float(signed_exp(means["none"])))
        words = {DETAILS[name].words: level for name, level in zip(CROSSED, cell, strict=True)}
        rows.append({**words, **shown, "Runs of it below the random policy": f"{sunk}/{len(none)}"})
    caption = (
        "The three details that are crossed in full, and so their interaction: the mean of each response over the two "
        "points and all seeds of each combination, in which every other detail has both of its levels. Without "
        "clipping or penalty: the mean on the signed-log scale, as a return; and how many of its runs end below the "
        "paper's random policy on HalfCheetah."
    )
    title = "Reward scaling, gradient clip and advantages together"
    return _table("readings_cells", title, caption, pd.DataFrame(rows), pd.DataFrame(facts), study, len(CROSSED))


def points(study: Study) -> Table:
    """Tabulate the design: the levels of each point, and its measured means."""
    means = study.values.groupby(["point", "response"])["value"].mean().unstack().reindex(columns=list(RESPONSES))
    frame = study.levels.join(means).rename_axis("point").reset_index()
    show = frame.rename(columns={name: detail.words for name, detail in DETAILS.items()})
    for name, response in RESPONSES.items():
        show[name] = [number(float(signed_exp(v))) if name == "none" else formatted(v, name) for v in frame[name]]
        show = show.rename(columns={name: response.words})
    caption = (
        "The design: 24 readings. The first 12 have each combination of reward scaling, gradient clip and advantages "
        "once, with the nine others in the columns of Plackett and Burman's design; the last 12 the same with all nine "
        "turned over. p09 is ppo2 as released in 2017-11, p16 ppo1 as released in 2017-08 but for its annealed clip "
        "range. Means over the seeds; without clipping or penalty on the signed-log scale, as a return."
    )
    title = "The readings that were tried"
    return _table("readings_points", title, caption, show.rename(columns={"point": "Point"}), frame, study, 13)


def best(study: Study) -> Table:
    """Tabulate the readings that the rule chooses to be run on all tasks."""
    frame = choice.best(study.fitted, study.values, study.levels)
    show = frame.rename(columns={name: detail.words for name, detail in DETAILS.items()})
    if len(frame):
        show["distance"] = [number(value, 2) for value in frame["distance"]]
        for name, response in RESPONSES.items():
            show[name] = [number(float(signed_exp(v))) if name == "none" else formatted(v, name) for v in frame[name]]
            show = show.rename(columns={name: response.words})
    else:
        show = pd.DataFrame({"Reading": ["none is chosen before every response is measured"]})
    caption = (
        "The readings that are predicted to be nearest to the paper, and what is predicted of them. The distance is "
        "the mean of three squared distances to the paper (HalfCheetah and InvertedPendulum with clipping, Figure 2), "
        "in units of what both sides leave unsure; only readings under which the row without clipping or penalty sinks "
        "on HalfCheetah are looked at, and only raw actions. A detail that no response shows to matter stays at its "
        "usual level. The rule: analysis/sections/readings/choice.py."
    )
    return _table("readings_best", "The three best readings as predicted", caption, show, frame, study, len(DETAILS))


def alias_chains(study: Study) -> Table:
    """Tabulate the interactions that are aliased with each main effect."""
    chains = aliases(study.levels)
    rows = []
    for (detail, level), chain in chains.groupby(["detail", "level"], sort=False):
        sizes = chain["correlation"].abs().round(2)
        largest = chain[sizes == sizes.max()].to_dict("records")
        counts = sizes.value_counts().sort_index(ascending=False)
        named = ", ".join(f"{'+' if row['correlation'] > 0 else '−'} {row['interaction']}" for row in largest[:NAMED])
        rows.append(
            {
                "Main effect": label(str(detail), str(level)),
                "Interactions, by correlation": ", ".join(f"{count} at {size:.2f}" for size, count in counts.items()),
                "The nearest": named + (f" and {len(largest) - NAMED} more" if len(largest) > NAMED else ""),
            }
        )
    caption = (
        "Alias chains: interactions of two details that are no column of the model, and whose column is correlated "
        "with that of a main effect; if such an interaction is real, that part of it goes into the effect. Those of "
        "the nine others are clear of each other's interactions and of all that the three crossed details do. The CSV "
        "file has every chain in full."
    )
    title = "What the main effects are aliased with"
    return _table("readings_aliases", title, caption, pd.DataFrame(rows), chains, study, 3)


def label(detail: str, level: str) -> str:
    """Return a row's label, such as 'Initialisation: column-norm (for orthogonal)'."""
    named = DETAILS[detail]
    return f"{named.words}: {level} (for {next(iter(named.levels.values()))})"


@matplotlib.rc_context(STYLE)
def figure(study: Study) -> Drawing:
    """Draw a panel per response with the effects and their intervals, the largest above; and the cells of "none"."""
    drawn = Figure(figsize=(13, 11), layout="constrained")
    panels = drawn.subplots(4, 2).ravel()
    for axes, (name, response) in zip(panels, RESPONSES.items(), strict=False):
        axes.set_title(response.words + (" (signed log)" if name == "none" else ""))
        if name in study.fitted:
            _effects_panel(axes, study.fitted[name].effects())
    _cells_panel(panels[-1], study)
    note = note_of(study.data)
    warn(drawn, note)
    caption = (
        "What each detail does to each response: the difference to the level of ppo2 of 2017-11, with its 95 % "
        "interval, the largest above; blue where the interval leaves out 0. Last panel: every run without clipping or "
        "penalty (dots, on the signed-log scale) in the combinations of reward scaling, gradient clip and advantages, "
        "and their means (bars); the dashed line is the paper's random policy."
    )
    return Drawing("readings", "What the readings do", sentences(caption, note), drawn)


def _effects_panel(axes: Axes, effects: pd.DataFrame) -> None:
    order = effects.reindex(effects["effect"].abs().sort_values().index)
    for place, row in enumerate(order.to_dict("records")):
        colour = BLUE if row["low"] > 0 or row["high"] < 0 else GREY
        axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.6)
        axes.plot(row["effect"], place, "o", color=colour, markersize=4)
    axes.set_yticks(range(len(order)), list(map(label, order["detail"], order["level"])), fontsize=7)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.axvline(0, color="#444444", linewidth=0.9, linestyle=":")


def _cells_panel(axes: Axes, study: Study) -> None:
    none = study.values[study.values["response"] == "none"]
    groups = combinations(study.levels)
    for place, inside in enumerate(groups.values()):
        returns = none.loc[none["point"].isin(inside), "value"]
        axes.plot(returns, [place] * len(returns), "o", color=GREY, markersize=3, alpha=0.7)
        axes.plot([returns.mean()], [place], "|", color=BLUE, markersize=11, markeredgewidth=2.5)
    ticks = [value for value in (-40_000, -10_000, -3_000, -1_000, 0, 1_000, 3_000) if len(none)]
    axes.set_xticks(signed_log(ticks), [number(value) for value in ticks], fontsize=7)
    axes.set_yticks(range(len(groups)), [" / ".join(cell) for cell in groups], fontsize=7)
    axes.axvline(float(signed_log(choice.random_level())), color="#444444", linewidth=0.9, linestyle="--")
    axes.set_title("No clipping or penalty, by what is crossed")


def formatted(value: float, response: str) -> str:
    """Format a response's number with its decimals."""
    return number(float(value), DIGITS.get(response, 4))


def _effect(effect: dict[Hashable, Any], response: str) -> str:
    text = interval(effect["effect"], effect["low"], effect["high"], DIGITS.get(response, 4))
    return text + "*" if effect["low"] > 0 or effect["high"] < 0 else text


def _table(
    name: str, title: str, caption: str, show: pd.DataFrame, frame: pd.DataFrame, study: Study, text_columns: int = 1
) -> Table:
    return Table(name, titled(title, study.data), caption, show, frame, incomplete(study.data), text_columns)
