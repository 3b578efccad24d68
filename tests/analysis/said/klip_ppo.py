"""What results/README.md says of KLip-PPO's table."""

from __future__ import annotations

import functools

from tests.analysis.said.pins import Pin, floor, rows, shown, table


def about_klip_ppo() -> list[Pin]:
    here = functools.partial(Pin, "results/README.md")
    cells = table("klip_ppo")
    cells = cells[cells["algorithm"] == "ppo"].set_index(["environment", "setting"])
    missed = cells[(cells["low"] > 0) | (cells["high"] < 0)]
    assert missed.index.tolist() == [("Hopper", "fixed-kl-1")]
    assert set(cells["seeds"]) == {5}
    assert len(cells) == 9
    assert (cells.loc["Hopper", "difference"] < 0).all()
    fixed = tuple(shown(float(missed[column].iloc[0]), 0) for column in ("mean", "published_mean"))
    half = (cells["high"] - cells["low"]) / 2
    runs = (
        rows("scores", protocol="klip-ppo", environment="HalfCheetah-v4")
        .set_index(["algorithm", "setting", "seed"])
        .sort_index()
    )
    clipped, sampled = (runs["last_tenth"].loc[name, "clip-0.2+klip-ppo"] for name in ("ppo", "per-sample-kl"))
    assert ((clipped > 3200).sum(), (clipped < 1900).sum(), len(clipped)) == (2, 3, 5)
    each = {seed: (shown(sampled[seed], 0), shown(clipped[seed], 0)) for seed in sampled.index}
    return [
        here("where ours has {} and theirs {}.", fixed),
        here("two end above {}, three below {}), a difference", ("3200", "1900")),
        here("a difference of {} would not be seen", (floor(half["HalfCheetah"].min()),)),
        here("on Hopper, not one of {}.", (floor(half.drop(missed.index).drop("HalfCheetah").min()),)),
        here("with the same seed ({} and {}, {} and {}); the third", (*each[302], *each[303])),
        here("ends at {} where clipping has {}.", each[301]),
    ]
