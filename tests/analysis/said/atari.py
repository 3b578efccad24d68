"""What results/README.md says of Atari."""

from __future__ import annotations

import functools

import pandas as pd

from analysis.data.published import PUBLISHED
from tests.analysis.said.pins import Pin, cells, manifest, rows, shown, table


def about_atari() -> list[Pin]:
    here = functools.partial(Pin, "results/README.md")
    frames = table("atari_prefix").groupby("game")["frames"]
    first, last = frames.min().min(), frames.max().min()  # a game that was trained farther has later points
    ends = f"{first / 1e6:g}M", f"{last / 1e6:g}M"
    halves = [f"{rows('smoothing', figure='Figure 6', family=name)['used'].iloc[0] / 2:g}M" for name in ("PPO", "ACER")]
    ppo = functools.partial(atari, "ours paper_lowest paper_highest baselines", "ppo")
    breakout, pong = ppo("Breakout", last), ppo("Pong", last)
    began, bank = ppo("BankHeist", first), ppo("BankHeist", last)
    acer = [atari("paper ours baselines", "acer", "Breakout", frames) for frames in (first, last)]
    (paper0, ours0, release0), (paper1, ours1, release1) = acer
    human = pd.read_csv(PUBLISHED / "atari_human.csv").set_index("game")
    random = shown(float(human.loc["Breakout", "random"]), 1)
    return [
        here("about {} frames to either side of it (PPO; A2C and ACER about {})", (*halves,)),
        here("up to {} frames.", (ends[1],)),
        here("on Breakout ({} at {} frames; the paper {} to {})", (breakout[0], ends[1], *breakout[1:3])),
        here("Pong ({}; {} to {}), and near openai/baselines' release ({} and {})", (*pong[:3], breakout[3], pong[3])),
        here("among them at {} frames ({}; {} to {})", (ends[0], *began[:3])),
        here("falling behind: {} at {}, where they have {} to {}.", (bank[0], ends[1], *bank[1:3])),
        here("rises from {} to {} between {} and {} frames", (paper0, paper1, *ends)),
        here("ours from {} to {}, as openai/baselines' own does ({} to {})", (ours0, ours1, release0, release1)),
        here("a random player ({})", (random,)),
        here("{} runs of 10M steps", (str(len(manifest("atari"))),)),
    ]


def atari(columns: str, algorithm: str, game: str, frames: float) -> list[str]:
    return cells("atari_prefix", columns, 1, algorithm=algorithm, game=game, frames=frames)
