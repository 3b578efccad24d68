"""Lines can be told apart, also by the colour-blind, and seen on a light and a dark page."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

import baselines
from analysis.style import colours
from analysis.style.colours import algorithm_lines, distance, next_colour
from tests.helpers.contrast import contrast

LISTED = [record.colour for record in baselines.ALGORITHMS.values() if record.colour]
BEFORE = ("#E69F00", "#D55E00", "#882255", "#7F7F7F", "#0072B2", "#CC79A7", "#009E73", "#7FCEB9", "#56B4E9", "#332288")


def least(palette: list[str]) -> float:
    return min(distance(*pair) for pair in itertools.combinations(palette, 2))


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)  # WCAG's own example of enough for text
    assert contrast("#ffffff", "#777777") == pytest.approx(4.48, abs=0.005)  # and of too little


def test_colours_alike_to_the_colour_blind_have_no_distance() -> None:
    """Colours that are alike to the colour-blind have distance 0."""
    assert distance("#000000", "#ffffff") == pytest.approx(100, abs=0.01)
    assert distance("#123456", "#123456") == 0
    red, green = "#a85000", "#508000"  # clearly apart to most people
    assert distance(red, green) < 0.5 * np.linalg.norm(lab(red, np.eye(3)) - lab(green, np.eye(3)))


def test_listed_colours_are_apart_and_have_contrast() -> None:
    """The listed colours are apart and have contrast on both pages."""
    assert least(LISTED) >= 8
    assert least(list(BEFORE)) < 4
    assert min(contrast(colour, page) for colour in LISTED for page in colours.BACKGROUNDS) >= 3
    assert sum(contrast(colour, "#ffffff") < 3 for colour in BEFORE) == 3


VIENOT = {  # linear RGB as people without red or green cones see it: Vienot, Brettel and Mollon 1999, their equation
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protan": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deutan": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
}


def lab(colour: str, vision: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """CIELAB (D65) of a colour as seen."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.asarray(vision) @ np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    ratio = np.array(to_xyz) @ np.clip(linear, 0, 1) / [0.9505, 1, 1.089]
    x, y, z = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_they_are_also_apart_by_another_model_of_sight() -> None:
    """In CIELAB, where about 2.3 is just noticeable, with another simulation of colour blindness."""

    def apart(palette: list[str]) -> float:
        return min(
            float(np.linalg.norm(lab(one, vision) - lab(other, vision)))
            for vision in VIENOT.values()
            for one, other in itertools.combinations(palette, 2)
        )

    assert apart(LISTED) > 7
    assert apart(list(BEFORE)) < apart(LISTED)


def test_new_colours_keep_their_distance() -> None:
    palette = list(LISTED)
    for _ in range(6):
        palette.append(next_colour(palette))
    assert least(palette) >= 5
    assert min(contrast(colour, page) for colour in palette for page in colours.BACKGROUNDS) >= 3


def test_unlisted_algorithms_get_colour_and_dashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no colour gets one, and dashes, the same in every figure."""
    added = {name: baselines.Record(f"my.{name}:Mine") for name in ("reinforce", "ars")}
    monkeypatch.setattr(baselines, "ALGORITHMS", {**baselines.ALGORITHMS, **added})
    lines = algorithm_lines(["ppo", "reinforce", "from-elsewhere", "ars"])
    assert list(lines) == ["ppo", "reinforce", "from-elsewhere", "ars"]
    assert lines["ppo"] == colours.Line("#0078c0")
    assert len({line.colour for line in lines.values()} | set(LISTED)) == len(LISTED) + 3
    assert len({lines[name].dashes for name in ("reinforce", "from-elsewhere", "ars")} - {()}) == 3
    assert algorithm_lines(["ars"])["ars"] == lines["ars"]
