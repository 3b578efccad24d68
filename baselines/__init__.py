"""The list of all algorithms by name. Adding one is a file beside this and a line here."""

from ppo.algorithm import Algorithm
from ppo.ppo import PPO

ALGORITHMS: dict[str, type[Algorithm]] = {
    "ppo": PPO,
}
