"""The study of readings (protocol `readings`): the effect of each detail on each response.

A linear model for each response: a constant; reward scaling, gradient clip and advantages with all their interactions;
the main effects of the nine other details; and a constant for each seed. Its rows are runs, so the seeds are the
replicates. The design makes these effects uncorrelated. Interactions that the model lacks are part of the residual and
widen the intervals.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import t as student

from analysis.data.load import Data
from analysis.data.scores import scored

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Detail:
    """A detail that the text omits."""

    words: str
    setting: str
    """The setting of a run that determines its level."""
    levels: dict[object, str]
    """The setting's value in a manifest -> the level's name. Effects are differences to the first level, which is that
    of ppo2 of 2017-11."""
    usual: str
    """The level of a reading if the study shows no effect of the detail."""


DETAILS = {  # as in experiments.paper.readings, which has the sources; a test compares the two
    "reward-scaling": Detail(
        "Reward scaling",
        "norm_reward",
        {"never-reset": "never-reset", "reset": "reset", "none": "none"},
        usual="reset",
    ),
    "gradient-clip": Detail("Gradient clip", "max_grad_norm", {0.5: "0.5", "inf": "none"}, usual="0.5"),
    "advantages": Detail("Advantages", "norm_adv", {"minibatch": "minibatch", "batch": "batch"}, usual="batch"),
    "initialisation": Detail(
        "Initialisation",
        "initialisation",
        {"orthogonal": "orthogonal", "column-norm": "column-norm"},
        usual="orthogonal",
    ),
    "adam-eps": Detail("Adam's epsilon", "adam_eps", {1e-5: "1e-5", 1e-8: "1e-8"}, usual="1e-5"),
    "time-limits": Detail(
        "Time limits", "bootstrap_truncation", {False: "terminate", True: "bootstrap"}, usual="terminate"
    ),
    "actions": Detail("Actions", "clip_actions", {False: "raw", True: "clipped"}, usual="raw"),
    "observation-filter": Detail(
        "Observation filter", "obs_filter", {"step": "every-step-10", "batch": "per-batch-5"}, usual="every-step-10"
    ),
    "c1": Detail("c1", "vf_coef", {0.25: "0.25", 1.0: "1"}, usual="0.25"),
    "value-clipping": Detail("Value clipping", "vf_clip_range", {0.2: "0.2", "inf": "none"}, usual="none"),
    "pendulum-force": Detail(
        "Pendulum's force",
        "environment",
        {"InvertedPendulumUnclamped-v4": "unclamped", "InvertedPendulum-v4": "clamped"},
        usual="clamped",
    ),
    "step-size": Detail("Step size", "anneal_lr", {False: "constant", True: "annealed"}, usual="constant"),
}
CROSSED = ("reward-scaling", "gradient-clip", "advantages")
OTHERS = tuple(detail for detail in DETAILS if detail not in CROSSED)
RAW = "raw"
"""The level of actions under which the control cost, and so the fall of "none", has no bound."""


@dataclass(frozen=True)
class Response:
    """A number measured at every point of the design."""

    words: str
    task: str
    row: str
    """of Table 1"""
    curve: str = ""
    """of Figure 2, at the updated policy; "" for a score"""


RESPONSES = {
    "clip": Response("HalfCheetah, ε = 0.2", "HalfCheetah", "clip-0.2"),
    "none": Response("HalfCheetah, no clipping or penalty", "HalfCheetah", "none"),
    "pendulum": Response("InvertedPendulum, ε = 0.2", "InvertedPendulum", "clip-0.2"),
    "kl": Response("Figure 2: E[KL]", "Hopper", "clip-0.2", "kl"),
    "surrogate_cpi": Response("Figure 2: L_CPI", "Hopper", "clip-0.2", "surrogate_cpi"),
    "surrogate_clipped": Response("Figure 2: E[clip(r) A]", "Hopper", "clip-0.2", "surrogate_clipped"),
    "surrogate_clip": Response("Figure 2: L_CLIP", "Hopper", "clip-0.2", "surrogate_clip"),
}


def signed_log(returns: npt.ArrayLike) -> Floats:
    """Compute asinh(return / 1000): a return of -40,000 is 3.8 times one of -1000, not 40 times; `signed_exp` is the
    inverse."""
    values: Floats = np.arcsinh(np.asarray(returns, float) / 1000)
    return values


def signed_exp(values: npt.ArrayLike) -> Floats:
    """Return the returns that have these values of `signed_log`, its inverse."""
    returns: Floats = 1000 * np.sinh(np.asarray(values, float))
    return returns


def levels_of(data: Data) -> pd.DataFrame:
    """Return the level of every detail (columns) at every point of the design (index), from the manifest's settings."""
    points: dict[str, dict[str, str]] = {}
    for run in data.manifest["runs"]:
        values = {**run["settings"], "environment": run["environment"]}
        point = points.setdefault(run["setting"].partition("+")[2], {})
        for name, detail in DETAILS.items():
            if name != "pendulum-force" or run["environment"] in detail.levels:
                value = values.get(detail.setting)
                if value not in detail.levels:
                    raise ValueError(f"readings/manifest.json: {detail.setting} = {value!r} is no level of the design")
                point[name] = detail.levels[value]
    return pd.DataFrame.from_dict(points, orient="index", columns=list(DETAILS))


def combinations(levels: pd.DataFrame) -> dict[tuple[str, ...], list[str]]:
    """Group the points by their levels of CROSSED."""
    cells: dict[tuple[str, ...], list[str]] = {}
    for point, *cell in levels[list(CROSSED)].itertuples(name=None):
        cells.setdefault(tuple(cell), []).append(point)
    return cells


def measured(data: Data, updates: pd.DataFrame | None) -> pd.DataFrame:
    """Return every value from which the effects are estimated: `response`, `point`, `seed`, `value`, of "none" the
    signed logarithm. `updates`: interpolation.parquet of the first updates, or None."""
    runs = scored(data)
    runs["task"] = runs["task"].str.removesuffix("Unclamped")
    parts = runs["setting"].str.partition("+")
    pieces = []
    for name, response in RESPONSES.items():
        if not response.curve:
            rows = runs[(runs["task"] == response.task) & (parts[0] == response.row) & runs["score"].notna()]
            values = signed_log(rows["score"]) if name == "none" else rows["score"].to_numpy(float)
        elif updates is not None:
            rows = updates[updates["interpolation"] == 1.0]
            values = rows[response.curve].to_numpy(float)
        else:
            continue
        points = rows["setting"].str.partition("+")[2]
        pieces.append(pd.DataFrame({"response": name, "point": points, "seed": rows["seed"], "value": values}))
    return pd.concat(pieces, ignore_index=True)


Term = tuple[tuple[str, str], ...]
"""The levels of a column of the model: of one detail, or in an interaction of several."""


def terms() -> list[Term]:
    """List the columns of the model after the constant: each level but the first of each detail, and of CROSSED every
    combination of such levels."""
    several = [names for count in (1, 2, 3) for names in itertools.combinations(CROSSED, count)]
    groups = [*several, *((name,) for name in OTHERS)]
    return [
        term
        for names in groups
        for term in itertools.product(
            *([(name, level) for level in list(DETAILS[name].levels.values())[1:]] for name in names)
        )
    ]


def columns(levels: pd.DataFrame) -> Floats:
    """Return the model's matrix for readings with these `levels`: ``[readings, 1 + terms]``.

    A column is an indicator of a level less 1 / the number of levels, or a product of those: so a coefficient is the
    level's difference to the first one, on average over the levels of all other details.
    """
    made = [np.ones(len(levels))]
    for term in terms():
        indicators = [(levels[name] == level).to_numpy(float) - 1 / len(DETAILS[name].levels) for name, level in term]
        made.append(np.prod(indicators, axis=0))
    return np.stack(made, axis=1)


@dataclass(frozen=True)
class Model:
    """A fitted response."""

    coefficients: Floats
    covariance: Floats
    deviation: float
    """standard deviation of the residuals"""
    seeds: float
    """deviation over the seeds of a point, root mean square over the points"""
    freedom: int

    def effects(self, level: float = 0.95) -> pd.DataFrame:
        """List the main effects: `detail`, `level` (compared with the detail's first), `effect`, `low`, `high`."""
        half = student.ppf((1 + level) / 2, self.freedom) * np.sqrt(np.diag(self.covariance))
        rows = [
            (
                *term[0],
                self.coefficients[place],
                self.coefficients[place] - half[place],
                self.coefficients[place] + half[place],
            )
            for place, term in enumerate(terms(), start=1)
            if len(term) == 1
        ]
        return pd.DataFrame(rows, columns=["detail", "level", "effect", "low", "high"])

    def predicted(self, levels: pd.DataFrame) -> tuple[Floats, Floats]:
        """Predict the mean of readings with these `levels`, and its standard error."""
        matrix = columns(levels)
        return matrix @ self.coefficients, np.sqrt(np.einsum("ij,jk,ik->i", matrix, self.covariance, matrix))


def fit(values: pd.DataFrame, levels: pd.DataFrame) -> Model | None:
    """Fit one response's `values` (`measured`) by least squares, with a constant for each seed, as every point has the
    same seeds; None while too few points are measured."""
    seeds = pd.get_dummies(values["seed"], drop_first=True).to_numpy(float)
    model = columns(levels.loc[values["point"]])
    matrix = np.hstack([model, seeds - seeds.mean(axis=0)])
    freedom = len(matrix) - matrix.shape[1]
    if freedom < 1 or np.linalg.matrix_rank(matrix) < matrix.shape[1]:
        return None
    observed, size = values["value"].to_numpy(float), model.shape[1]
    inverse = np.linalg.inv(matrix.T @ matrix)
    coefficients = inverse @ matrix.T @ observed
    variance = float(((observed - matrix @ coefficients) ** 2).sum()) / freedom
    within = values.groupby("point")["value"]
    spread = float(within.var().mean()) ** 0.5
    return Model(coefficients[:size], variance * inverse[:size, :size], variance**0.5, spread, freedom)


def models(values: pd.DataFrame, levels: pd.DataFrame) -> dict[str, Model]:
    """Fit every response with enough values."""
    fitted = {str(name): fit(rows, levels) for name, rows in values.groupby("response", sort=False)}
    return {name: model for name, model in fitted.items() if model}


def aliases(levels: pd.DataFrame) -> pd.DataFrame:
    """List the aliases of each main effect of the design (`term`): `interaction` of two details without a column in the
    model, and `correlation` of their columns, if it is not 0."""
    pairs = [(term, column) for term, column in zip(terms(), columns(levels).T[1:], strict=True)]
    main = {term[0]: column for term, column in pairs if len(term) == 1}
    rows = []
    for (one, first), (two, second) in itertools.combinations(main.items(), 2):
        if one[0] == two[0] or {one[0], two[0]} <= set(CROSSED):
            continue
        product = first * second
        for term, column in main.items():
            correlation = float(_correlation(column, product))
            if abs(correlation) > 1e-9:
                rows.append((*term, " x ".join(map(_short, (one, two))), correlation))
    return pd.DataFrame(rows, columns=["detail", "level", "interaction", "correlation"])


def _short(level: tuple[str, str]) -> str:
    """Name the detail, and its level if it has more than two."""
    return "=".join(level) if len(DETAILS[level[0]].levels) > 2 else level[0]


def _correlation(one: Floats, other: Floats) -> float:
    one, other = one - one.mean(), other - other.mean()
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))
