"""Make every table and figure again from the recorded episodes, and compare with those that lie beside them."""

from __future__ import annotations

import re
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis import training_report
from analysis.report import build
from experiments.store.files import StoreError, one_line, read_bytes, read_text

TOLERANCE = 0.01
"""Points by which what is drawn may differ; a figure is some 1,000 wide."""
MOST_BYTES = 2**24
"""Of a file that is compared: the largest of ours, the page, has 6 MB."""
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
_DATA = re.compile(r'<script type="application/json" id="([^"]+)">(.*?)</script>', re.DOTALL)


@dataclass(frozen=True)
class Remade:
    """What was made again, by kind: how many are equal, and a line for each that is not."""

    tables: int
    figures: int
    charts: int
    """The numbers behind the interactive figures of report.html."""
    problems: tuple[str, ...]


def remake(results: Path) -> Remade:
    """Build the report of RESULTS in a temporary folder, and compare it with RESULTS/tables, figures and report.html.

    Tables by their bytes; figures by the lines and markers that are drawn, so fonts do not matter; the page by the
    numbers of its charts. A file that is missing, or that nothing makes, is a problem too.
    """
    with tempfile.TemporaryDirectory() as folder:
        make = training_report.build if training_report.is_training(results) else build
        make(results, Path(folder))
        return compared(Path(folder), results)


def compared(made: Path, kept: Path) -> Remade:
    """Compare what was made just now with what was kept."""
    tables, table_problems = _compared(made / "tables", kept / "tables", "*.*", _same_bytes)
    figures, figure_problems = _compared(made / "figures", kept / "figures", "*.svg", _same_drawing)
    charts, chart_problems = _compared_charts(made / "report.html", kept / "report.html")
    return Remade(tables, figures, charts, (*table_problems, *figure_problems, *chart_problems))


def _compared(made: Path, kept: Path, pattern: str, same: Callable[[bytes, bytes], str]) -> tuple[int, list[str]]:
    names = {folder: {path.name for path in folder.glob(pattern)} for folder in (made, kept)}
    problems = [f"{kept.name}/{name} is missing" for name in sorted(names[made] - names[kept])]
    problems += [f"{kept.name}/{name} is made from no data here" for name in sorted(names[kept] - names[made])]
    both = sorted(names[made] & names[kept])
    told = [(name, _difference(made / name, kept / name, same)) for name in both]
    problems += [f"{kept.name}/{name} {what}" for name, what in told if what]
    return sum(not what for _, what in told), problems


def _difference(made: Path, kept: Path, same: Callable[[bytes, bytes], str]) -> str:
    try:
        return same(read_bytes(made, MOST_BYTES), read_bytes(kept, MOST_BYTES))
    except (StoreError, OSError, ElementTree.ParseError) as error:
        return f"is unreadable: {one_line(error)}"


def _same_bytes(one: bytes, other: bytes) -> str:
    """Return "", or where two files of text differ."""
    if one == other:
        return ""
    lines = list(zip(one.splitlines(), other.splitlines(), strict=False))
    place = next((number for number, (a, b) in enumerate(lines, start=1) if a != b), len(lines) + 1)
    return f"differs from what the episodes give, first in line {place}"


def _same_drawing(made: bytes, kept: bytes) -> str:
    """Return "", or how two pictures differ in their lines and markers."""
    one, other = drawn_numbers(made), drawn_numbers(kept)
    if len(one) != len(other):
        return f"draws {len(other)} coordinates where the episodes give {len(one)}"
    apart = float(np.abs(one - other).max()) if len(one) else 0.0
    return f"is drawn up to {apart:.2g} points from where the episodes are" if apart > TOLERANCE else ""


def drawn_numbers(picture: bytes) -> npt.NDArray[np.float64]:
    """Read every coordinate that an SVG of matplotlib draws: lines, areas and markers, but no letters."""
    if b"<!ENTITY" in picture:
        raise StoreError("it defines entities, which no picture of ours does")
    texts: list[str] = []
    for element in _drawn(ElementTree.fromstring(picture)):
        texts += [element.get(name, "") for name in ("d", "x", "y")]
    return np.array([float(number) for text in texts for number in _NUMBER.findall(text)])


def _drawn(element: ElementTree.Element) -> Iterator[ElementTree.Element]:
    if element.tag.endswith("}defs") or element.get("id", "").startswith("text_"):
        return
    yield element
    for child in element:
        yield from _drawn(child)


def _compared_charts(made: Path, kept: Path) -> tuple[int, list[str]]:
    if not kept.exists():
        return 0, [f"{kept.name} is missing"]
    try:
        one, other = (dict(_DATA.findall(read_text(path, MOST_BYTES))) for path in (made, kept))
    except (StoreError, OSError) as error:
        return 0, [f"{kept.name} is unreadable: {one_line(error)}"]
    wrong = [name for name in sorted({*one, *other}) if one.get(name) != other.get(name)]
    return len(one) - len(set(wrong) & set(one)), [f"{kept.name}: the chart {name} has other numbers" for name in wrong]
