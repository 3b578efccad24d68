"""How cells and tables are printed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.data.load import gather
from analysis.sections.table1 import table as table1
from analysis.style import formats
from tests.helpers.synthetic import write_table1


@pytest.mark.parametrize(
    ("value", "text"),
    [(1809.93, "1810"), (-7.08, "−7.1"), (-12345.6, "−12,346"), (-0.01, "0.0"), (np.nan, "–"), (99.96, "100.0")],
)
def test_numbers(value: float, text: str) -> None:
    assert formats.number(value) == text


def test_latex_and_markdown_escape(tmp_path: Path) -> None:
    data = gather(write_table1(tmp_path), "table1")
    table = table1.table1(data, table1.evaluate(data))
    tex = formats.latex(table)
    assert r"Adaptive KL $d_{\mathrm{targ}}$ = 0.003 &" in tex
    assert r"95 \% interval" in tex
    assert r"\toprule" in tex
    assert tex.isascii() or set(tex) - set(map(chr, range(128))) <= set("“”")
    lines = [line for line in formats.markdown(table).splitlines() if line.startswith("|")]
    assert len(lines) == 13
    assert len({len(line) for line in lines}) == 1
