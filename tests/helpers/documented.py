"""What this repository's pages write of. An algorithm that somebody adds, with the first line of a record and no label,
is trained and drawn beside the others; the pages need not know it, nor the numbers that are held to them."""

from dataclasses import replace

from baselines import ALGORITHMS
from experiments.paper.profiles import PROFILES
from experiments.paper.settings import COMPARED

_FIGURE3 = tuple(name for name in COMPARED if ALGORITHMS[name].label)

DOCUMENTED = {
    name: replace(profile, figure3_algorithms=profile.figure3_algorithms or _FIGURE3)
    for name, profile in PROFILES.items()
}
"""The profiles, with the algorithms that have a label."""
