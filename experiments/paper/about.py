"""What there is to run, in a line each: for help and plans."""

from experiments.paper.readings import BEST

PAPER = {
    "table1": "surrogate objectives (sec. 6.1, Table 1)",
    "figure1": "the clipped objective as a function of the ratio (a formula: no runs)",
    "figure2": "surrogates along the first policy update on Hopper (Figure 2)",
    "figure3": "comparison of algorithms (sec. 6.2, Figure 3)",
    "atari": "Atari games (sec. 6.4, Tables 2 and 6, Figure 6)",
}
"""The paper's own tables and figures: "all"."""

PROTOCOLS = {
    **PAPER,
    "readings": "a designed experiment over what the text leaves open",
    "readings-best": "the best readings on all seven tasks"
    + ("" if BEST else " (none is chosen yet: `ppo run readings` first)"),
    "tuning": "sweeps over what is not known of the algorithms of Figure 3",
    "precision": "PPO on Pong with gradients in float32 and in bfloat16",
    "klip-ppo": "not the paper's: KLip-PPO's table, an outside check",
}
"""And what was done before them, on other seeds, or beside them."""
