"""How episodes of section 6.3's humanoids end: by their time, or on the ground."""

from __future__ import annotations

import pandas as pd

from analysis.data.load import RUN

WHOLE = 1000
"""Steps of an episode that its time limit ends."""
NEVER_UP = 170
"""Steps of an episode of Flagrun harder whose robot starts on the ground and never stands up."""


def endings(episodes: pd.DataFrame) -> pd.DataFrame:
    """Tell how the episodes of each run ended: RUN, `whole`, the share that lasted WHOLE steps, `whole_return`, the
    mean return of these, and `never_up`, the share that lasted NEVER_UP steps."""
    length, returns = episodes["episodic_length"], episodes["episodic_return"]
    told = episodes[RUN].assign(
        whole=length == WHOLE, whole_return=returns.where(length == WHOLE), never_up=length == NEVER_UP
    )
    return told.groupby(RUN, as_index=False)[["whole", "whole_return", "never_up"]].mean()
