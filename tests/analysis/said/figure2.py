"""What results/README.md says of Figure 2."""

from __future__ import annotations

import functools

from tests.analysis.said.pins import Pin, rows, shown, table


def about_figure_2() -> list[Pin]:
    here = functools.partial(Pin, "results/README.md")
    update = table("figure2_update").set_index("curve")
    numbers = update[["paper", "mean", "deviation"]].map(lambda value: shown(value, 4))
    kl, cpi, clipped, clip = (tuple(numbers.loc[curve]) for curve in numbers.index)
    apart = [shown(update.loc[curve, "deviations_away"], 1) for curve in ("surrogate_cpi", "surrogate_clipped")]
    (end,) = rows("figure2", curve="surrogate_clip").to_dict("records")
    all_four = table("figure2_settings").groupby("change")["inside"].all()
    moves = dict(name.split("=") for name in all_four.index[all_four])
    assert len(moves) == all_four.sum(), "one value of each"
    epochs, size, step, lam = (
        moves.pop(name) for name in ("update_epochs", "minibatch_size", "learning_rate", "gae_lambda")
    )
    assert not moves
    return [
        here("with {} epochs instead of ten", (epochs,)),
        here("minibatches of {}, with a step size of {} or with λ = {}, each alone", (size, step, lam)),
        here("the KL, {} (ours {} ± {}, a standard deviation), and", kl),
        here("L_CLIP, {} ({} ± {}).", clip),
        here("L_CPI, {} ({} ± {}), and the clipped surrogate, {} ({} ± {}), by", (*cpi, *clipped)),
        here("by {} and {} deviations.", (*apart,)),
        here("highest at {} (the paper {})", (shown(end["maximum_at"], 2), shown(end["paper_maximum_at"], 2))),
        here("ends at {} ({}).", (shown(end["at_2"], 4), shown(end["paper_at_2"], 4))),
    ]
