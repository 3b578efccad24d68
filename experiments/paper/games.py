"""The Atari games that are trained before the others, chosen before any of them but three was run.

All 441 runs of section 6.4 take two cores months, and a few games must stand for it. They were chosen by the paper's
numbers alone:

- all three of the paper's curves of PPO rise between 0.4M and 4M frames (Figure 6, digitised): the rewards are dense
  enough to be learned from in the first tenth of the training, which is what is trained. On Zaxxon, say, their mean
  falls;
- in Table 6 A2C scores higher than PPO on some and lower on others: higher on BeamRider, Breakout, RoadRunner and
  Seaquest.

BankHeist, Breakout and Pong had been run before the rule was written; they keep it too. A test checks both numbers.
"""

TWELVE = (
    "Alien",
    "BankHeist",
    "BeamRider",
    "Breakout",
    "Enduro",
    "Freeway",
    "Gopher",
    "Pong",
    "Qbert",
    "RoadRunner",
    "Seaquest",
    "SpaceInvaders",
)
"""Of PPO."""

FOUR = ("BankHeist", "Breakout", "Pong", "Seaquest")
"""Of A2C and ACER too: the three that were there, and one where both score higher than PPO in Table 6."""

READ_GAMES = ("BankHeist", "Breakout")
"""On which the readings of section 6.4 are compared: PPO's first runs were behind the paper's on the one and ahead on
the other."""

GROUPS = {
    name: tuple(f"{game}NoFrameskip-v4" for game in games)
    for name, games in (("twelve-games", TWELVE), ("four-games", FOUR))
}
"""Names that --environments takes for several."""
