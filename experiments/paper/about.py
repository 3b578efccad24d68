"""A line about each protocol, for help and plans."""

from experiments.messages import unknown_name_message

PAPER = {
    "table1": "surrogate objectives (sec. 6.1, Table 1)",
    "figure1": "the clipped objective as a function of the ratio (a formula: no runs)",
    "figure2": "surrogates along the first policy update on Hopper (Figure 2)",
    "figure3": "comparison of algorithms (sec. 6.2, Figure 3)",
    "figure4": "humanoid tasks (sec. 6.3, Figure 4, Table 4)",
    "atari": "Atari games (sec. 6.4, Tables 2 and 6, Figure 6)",
}
"""The paper's tables and figures, which "all" stands for."""

MADE_BY = {"table2": "atari", "table6": "atari", "figure6": "atari", "table4": "figure4", "figure5": "figure4"}
"""The tables and figures that no protocol is called by, and the one that trains their runs. (Tables 3 and 5 are
settings.)"""


def unknown(name: str) -> str:
    """Return an error line for a ``name`` that no protocol has."""
    if name in MADE_BY:
        return f"{name} is made by the protocol {MADE_BY[name]}"
    return unknown_name_message("protocol", name, [*PROTOCOLS, "all"])


PROTOCOLS = {
    **PAPER,
    "readings": "a designed experiment over the details that the text omits",
    "readings-best": "the best readings on all seven tasks",
    "figure2-settings": "Figure 2's update with one of the paper's settings changed",
    "none-on-reacher": "Table 1's row without clipping or penalty on Reacher, with one detail changed",
    "tuning": "sweeps over the unknown settings of the algorithms of Figure 3",
    "figure4-tuning": "short runs over the settings that Table 4 omits",
    "figure4-readings": "two of the humanoid tasks with the details of the first runs, time limits cut and end",
    "figure4-settings": "the humanoid that gets up, with settings changed that Table 4 omits",
    "atari-readings": "the network that section 6.4 cites, and the code released then, on two games",
    "acer-on-breakout": "ACER on Breakout with one of its settings changed",
    "precision": "PPO on Pong with gradients in float32 and in bfloat16",
    "klip-ppo": "KLip-PPO's table, a check against another paper",
}
"""All protocols: the paper's, and the project's experiments beside them."""
