"""What an installed copy is made of."""

import tomllib
from pathlib import Path

from setuptools import find_packages

ROOT = Path(__file__).parents[1]
LAYERS = ("ppo", "baselines", "experiments", "analysis")


def test_every_room_is_a_package_of_the_wheel():
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    rooms = {path.parent for layer in LAYERS for path in ROOT.glob(f"{layer}/**/*.py")}
    assert set(find_packages(str(ROOT), include=found["include"])) == {
        ".".join(room.relative_to(ROOT).parts) for room in rooms
    }


def test_every_package_says_that_it_is_typed():
    assert [layer for layer in LAYERS if not (ROOT / layer / "py.typed").exists()] == []
