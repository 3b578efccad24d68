"""What results/README.md says of the readings and of the tuning."""

from __future__ import annotations

import functools

import pandas as pd

from experiments.paper.readings import CHOSEN
from tests.analysis.said.pins import RESULTS, Pin, cells, manifest, mean, rows, shown


def about_the_readings() -> list[Pin]:
    here = functools.partial(Pin, "results/README.md")

    def effect(digits: int, response: str, detail: str, level: str) -> list[str]:
        return cells("readings_effects", "effect low high", digits, response=response, detail=detail, level=level)

    effects = rows("readings_effects", response="surrogate_cpi")
    others = effects[effects["detail"] != "reward-scaling"].set_index("detail")["effect"].abs()
    assert others.idxmax() == "advantages"
    on_clip = rows("readings_effects", response="clip")
    shown_apart = on_clip[(on_clip["low"] > 0) | (on_clip["high"] < 0)]
    assert shown_apart["detail"].tolist() == ["actions"]
    assert len(on_clip) == 13
    sinks = rows("readings_cells").groupby("gradient-clip")[["none_sinks", "none_runs"]].sum().astype(str)
    chosen = {"protocol": "readings", "setting": f"clip-0.2+{CHOSEN}"}
    fallen = rows("scores", protocol="readings", setting=f"none+{CHOSEN}").sort_values("seed")["score"]
    updates = pd.read_parquet(RESULTS / "readings" / "figure2" / "interpolation.parquet")
    at_1 = updates[(updates["interpolation"] == 1.0) & (updates["setting"] == chosen["setting"])]
    figure2 = rows("figure2", curve="surrogate_cpi")
    paper = rows("figure3", algorithm="ppo").set_index("environment")["paper_last_100k"]
    diverged = [run for run in manifest("readings") if run["diverged_at"]]
    assert len(diverged) == 3
    return [
        here("Three of its {} runs diverged.", (str(len(manifest("readings"))),)),
        here("higher by {} [{}, {}] than", (*effect(4, "surrogate_cpi", "reward-scaling", "none"),)),
        here("another detail is {} [{}, {}].", (*effect(4, "surrogate_cpi", "advantages", "batch"),)),
        here("of {} runs without a gradient clip", (sinks.loc["none", "none_runs"],)),
        here("of {} with it {}.", (sinks.loc["0.5", "none_runs"], sinks.loc["0.5", "none_sinks"])),
        here("an interval without 0, {} [{}, {}].", (*effect(0, "clip", "actions", "clipped"),)),
        here(
            "it has {} on HalfCheetah (the paper {}), {} on InvertedPendulum ({}), and",
            tuple(
                text
                for task in ("HalfCheetah", "InvertedPendulum")
                for text in (mean(0, environment=f"{task}-v4", **chosen), shown(paper[task], 0))
            ),
        ),
        here("penalty {}, {}, {} and {} on HalfCheetah", tuple(shown(value, 0) for value in fallen)),
        here(
            "L_CPI is {} where the paper has {}:",
            (shown(at_1["surrogate_cpi"].mean(), 3), shown(float(figure2["paper_at_1"].iloc[0]), 3)),
        ),
        here(
            "the plain mean of the four, {}, is",
            (mean(0, protocol="readings-best", environment="HalfCheetah-v4", setting="none+b2"),),
        ),
    ]


def about_the_tuning() -> list[Pin]:
    rates = [
        cells("tuning", "score", 0, setting=f"learning_rate=0.00185,anneal_lr={anneal}", task="HalfCheetah")[0]
        for anneal in (False, True)
    ]
    return [Pin("results/README.md", "ends HalfCheetah at {}, and at {} when", (*rates,))]
