"""The line of each algorithm in every figure, and the colour of each row of Table 1.

The colours of the algorithms (`baselines.ALGORITHMS`) have a contrast of at least CONTRAST with both BACKGROUNDS, as
WCAG 2.2 requires of lines, and a `distance` of at least 8 from each other: the smallest over people with normal vision
and without red, green or blue cones. (An earlier palette, Okabe and Ito's with additions, had 3.3, and three colours
below a contrast of 3.) An algorithm without a colour gets the one farthest from all used ones; six of these are still 5
apart. The line's dashes distinguish it from the nearest colour.

The eleven rows of Table 1 have one hue per family, darker for the weaker constraint. The members of a family lie close
to each other, because each has a contrast of at least CONTRAST with both backgrounds; their dashes tell them apart.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

import baselines

Array = npt.NDArray[np.float64]

BACKGROUNDS = ("#ffffff", "#121212")
"""Of pages, light and dark."""
CONTRAST = 3.0

VISIONS: Array = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]
)
"""Linear RGB as seen with normal vision, protanopia, deuteranopia and tritanopia: Machado et al. 2009, severity 1."""

# Ottosson 2020: linear RGB to the cones' responses, and their cube roots to Oklab.
_CONES: Array = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_OKLAB: Array = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)

_SPARE_DASHES = ((1.2, 1.2), (6.0, 1.4, 1.2, 1.4), (9.0, 1.4), (6.0, 1.4, 1.2, 1.4, 1.2, 1.4))
"""Lines of algorithms whose records have no colour, in turn."""


LineStyle = Literal["-"] | tuple[float, Sequence[float]]


@dataclass(frozen=True)
class Line:
    """Colour and dashes of a curve of ours."""

    colour: str
    dashes: tuple[float, ...] = ()
    """As in `baselines.Record`."""

    @property
    def style(self) -> LineStyle:
        """Return matplotlib's `linestyle`."""
        return (0, self.dashes) if self.dashes else "-"


def algorithm_lines(algorithms: Iterable[str]) -> dict[str, Line]:
    """Return the line of each algorithm: that of its record, or the next one that is distinct from all others.

    Listed algorithms without a colour come first, so that they have the same line in every figure; then names that are
    not listed (data of another version, or of a user's class), in alphabetical order.
    """
    named = list(algorithms)
    records = baselines.ALGORITHMS
    lines = {name: Line(record.colour, record.dashes) for name, record in records.items() if record.colour}
    rest = [name for name in records if name not in lines] + sorted(set(named) - set(records))
    for place, name in enumerate(rest):
        dashes = _SPARE_DASHES[place % len(_SPARE_DASHES)]
        lines[name] = Line(next_colour([line.colour for line in lines.values()]), dashes)
    return {name: lines[name] for name in named}


_OTHER = Line("#7a7a7a")

_SETTINGS = {
    "none": Line("#7a7a7a", (1.2, 1.2)),
    "clip-0.1": Line("#3d99e3", (6.0, 1.4)),
    "clip-0.2": Line("#1e7fcf"),
    "clip-0.3": Line("#1867a8", (2.5, 1.2)),
    "adaptive-kl-0.003": Line("#e27606", (6.0, 1.4)),
    "adaptive-kl-0.01": Line("#be6305"),
    "adaptive-kl-0.03": Line("#9a5004", (2.5, 1.2)),
    "fixed-kl-0.3": Line("#8f41aa", (2.5, 1.2)),
    "fixed-kl-1": Line("#a150bd"),
    "fixed-kl-3": Line("#ad67c5", (6.0, 1.4)),
    "fixed-kl-10": Line("#b87ccd", (6.0, 1.4, 1.2, 1.4)),
}


def setting_line(setting: str) -> Line:
    """Return the line of a row of Table 1; a grey one for another setting."""
    return _SETTINGS.get(setting, _OTHER)


def setting_colour(setting: str) -> str:
    """Return the colour of a row of Table 1; a grey for another setting."""
    return setting_line(setting).colour


def next_colour(taken: Sequence[str]) -> str:
    """Find the colour, of those with enough contrast, that is farthest from its nearest among `taken`."""
    candidates = _candidates()
    nearest = _distances(candidates, np.stack([_rgb(colour) for colour in taken])).min(axis=1)
    red, green, blue = (255 * candidates[int(nearest.argmax())]).round().astype(int)
    return f"#{red:02x}{green:02x}{blue:02x}"


def distance(one: str, other: str) -> float:
    """Measure the smallest perceived distance of two colours over VISIONS: 100 is from black to white.

    Euclidean in Oklab times 100; about 2 is just noticeable.
    """
    return float(_distances(_rgb(one)[None], _rgb(other)[None])[0, 0])


@functools.cache
def _candidates() -> Array:
    """List the colours of a grid that have enough contrast with both backgrounds: ``[colours, 3]``, 0 to 1."""
    grid = np.array(list(itertools.product(range(0, 256, 15), repeat=3))) / 255
    light, dark = (float(_luminance(_rgb(background))) for background in BACKGROUNDS)
    luminance = _luminance(grid)
    enough = ((light + 0.05) / (luminance + 0.05) >= CONTRAST) & ((luminance + 0.05) / (dark + 0.05) >= CONTRAST)
    return grid[enough]


def _distances(ones: Array, others: Array) -> Array:
    """Compute the `distance` of each of ``[n, 3]`` to each of ``[m, 3]``: ``[n, m]``."""
    seen, others_seen = _seen(ones), _seen(others)
    apart: Array = np.linalg.norm(seen[:, :, None] - others_seen[:, None], axis=-1).min(axis=0)
    return apart


def _seen(colours: Array) -> Array:
    """Return the Oklab coordinates times 100 of ``[n, 3]`` under each of VISIONS: ``[visions, n, 3]``."""
    rgb = np.clip(np.einsum("vij,nj->vni", VISIONS, _linear(colours)), 0, 1)
    oklab: Array = np.cbrt(rgb @ _CONES.T) @ _OKLAB.T
    return 100 * oklab


def _rgb(colour: str) -> Array:
    return np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255


def _linear(colours: Array) -> Array:
    """Undo sRGB's gamma (IEC 61966-2-1)."""
    return np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)


def _luminance(colours: Array) -> Array:
    luminance: Array = _linear(colours) @ np.array([0.2126, 0.7152, 0.0722])
    return luminance
