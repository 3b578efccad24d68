"""How cells and tables are printed."""

from __future__ import annotations

import csv
import io
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from fontTools.pens.recordingPen import RecordingPen
from fontTools.svgLib.path import parse_path
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from PIL import Image

from analysis.data.load import gather
from analysis.sections.table1 import table as table1
from analysis.style import formats
from analysis.style.drawing import STYLE, Drawing, pictures
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


NAMES = (
    "^^5cinput{secret.txt}",
    r"\input{secret.txt}",
    "a $ b",
    "a^b",
    "{",
    "}",
    "~",
    "$x$",
    "$",
    r"$\frac{$",
    "Щ",
    "a & b % c # d _ e",
    "<script>alert(1)</script>",
    "![x](http://example.org/x.png)",
    "[x](javascript:alert(1))",
    "`code`",
    "*bold*",
    "a | b",
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "a\nb",
    "\x1b[2J",
)


def table_of(name: str) -> formats.Table:
    """A table with a name from somebody else's manifest wherever a name can stand."""
    shown = pd.DataFrame({"Setting": [name], f"A: {name}": ["1"]})
    return formats.Table("t", f"{name} and x", "Caption.", shown, pd.DataFrame({"setting": [name], name: [1.5]}))


@pytest.mark.parametrize("name", NAMES)
def test_in_latex_a_name_holds_nothing_that_is_a_command(name: str) -> None:
    (row,) = [line for line in formats.latex(table_of(name)).splitlines() if line.endswith(r"& 1 \\")]
    cell = row.removesuffix(r" & 1 \\")
    assert cell.isascii()
    for written in (r"\textbackslash{}", r"\textasciicircum{}", r"\textasciitilde{}", r"$<$", r"$>$", r"$|$"):
        cell = cell.replace(written, "")
    for written in (r"\$", r"\{", r"\}", r"\&", r"\%", r"\#", r"\_"):
        cell = cell.replace(written, "")
    assert not set(cell) & set("\\{}$&#^_~%<>|")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("name", NAMES)
def test_pdflatex_sets_any_name_and_reads_no_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.txt").write_text("MYSECRET")
    table = formats.latex(table_of(name))
    (tmp_path / "t.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n" + table + "\\end{document}\n"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert ended.returncode == 0, ended.stdout[-2000:]
    assert "secret.txt" not in ended.stdout.replace(" ", "").replace("\n", "")


@pytest.mark.parametrize("name", NAMES)
def test_in_markdown_a_name_is_text(name: str) -> None:
    (row,) = [line for line in formats.markdown(table_of(name)).splitlines() if line.endswith(" 1 |")]
    cell = row.removeprefix("| ").rpartition(" |")[0].rpartition(" | ")[0]
    assert "](" not in cell
    for character in "\\`*<>|":
        cell = cell.replace(f"\\{character}", "")
    cell = cell.replace("]\\(", "").replace("]\\[", "")
    assert not set(cell) & set("\\`*<>|\n\x1b")


@pytest.mark.parametrize("name", NAMES)
def test_in_a_spreadsheet_a_name_is_no_formula_and_a_number_stays_one(name: str) -> None:
    header, row = csv.reader(io.StringIO(formats.csv(table_of(name))))
    for cell in (row[0], header[1]):
        assert cell.removeprefix("'") == name
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert float(row[1]) == 1.5


def test_a_number_below_zero_is_no_formula() -> None:
    table = pd.DataFrame({"score": [-1.5], "name": ["-1.5"]})
    assert formats.comma_separated(table) == "score,name\n-1.5,'-1.5\n"


def test_what_processors_differ_in_is_not_written() -> None:
    """Sums in another order differ in the last of a float's seventeen digits."""
    values = [0.1 + 0.2, -14888.25, 1e-9 / 3, 1000.0, float("nan"), float("inf")]
    others = [0.3, *(math.nextafter(value, 0) for value in values[1:3]), *values[3:]]
    written = [formats.comma_separated(pd.DataFrame({"score": kind, "steps": 1_000_000})) for kind in (values, others)]
    assert written[0] == written[1]
    assert written[0].splitlines()[1:] == [
        "0.3,1000000",
        "-14888.25,1000000",
        "3.333333333e-10,1000000",
        "1000.0,1000000",
        ",1000000",
        "inf,1000000",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_in_html_a_name_is_text(name: str) -> None:
    found: list[str] = []

    class Page(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            found.append(tag)

        def handle_data(self, data: str) -> None:
            found.append(data)

    Page().feed(formats.table_html(table_of(name), download=False))
    assert name in found
    assert set(found) & {"script", "img", "a"} == set()


@pytest.mark.parametrize("name", NAMES)
@matplotlib.rc_context(STYLE)
def test_a_figure_is_drawn_with_any_name(name: str) -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], label=f"x {name}")
    axes.set_title(name)
    axes.legend()
    made = pictures(Drawing("x", "x", "x", figure))
    assert made["svg"].startswith(b"<?xml")
    assert made["png"]


@matplotlib.rc_context(STYLE)
def test_a_picture_in_pixels_shows_what_the_vectors_show() -> None:
    """Its palette changes no colour by more than the eye sees, and it is as large as the figure says."""
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 1, 40))
    for number, colour in enumerate(colours):
        axes.fill_between([number, number + 1], 0, number, color=colour, alpha=0.5, linewidth=0)
    with Image.open(io.BytesIO(pictures(Drawing("x", "x", "x", figure))["png"])) as picture:
        made = np.asarray(picture.convert("RGB"), dtype=int)
    figure.set_dpi(160)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[:, :, :3].astype(int)
    assert made.shape == drawn.shape == (480, 640, 3)
    assert np.abs(made - drawn).mean() < 0.5
    assert np.abs(made - drawn).max() <= 32


def test_an_svg_has_every_line_curve_and_area_where_matplotlib_draws_it() -> None:
    """Read by fontTools, which knows the whole of SVG's path language."""
    figure = Figure(figsize=(3, 2))
    axes = figure.subplots()
    steps = np.linspace(0, 7, 90)
    axes.plot(steps, np.sin(3 * steps), "--o", markevery=9)
    axes.plot(steps, np.where(steps > 3, np.nan, steps))  # a line with a gap
    axes.fill_between(steps, -steps, steps, where=np.sin(steps) > 0)
    made, plain = pictures(Drawing("x", "x", "x", figure))["svg"], io.BytesIO()
    with matplotlib.rc_context(STYLE):
        FigureCanvasSVG(figure).print_svg(plain, metadata={"Date": None, "Creator": None})

    def paths(svg: bytes) -> list[list[tuple[str, tuple[tuple[float, float], ...]]]]:
        found = []
        for path in re.findall(r' d="([^"]*)"', svg.decode()):
            pen = RecordingPen()
            parse_path(path, pen)
            found.append(pen.value)
        return found

    ours, theirs = paths(made), paths(plain.getvalue())
    assert len(made) < 0.85 * len(plain.getvalue())
    for mine, other in zip(ours, theirs, strict=True):
        assert [kind for kind, _ in mine] == [kind for kind, _ in other]
        for (_, points), (_, exact) in zip(mine, other, strict=True):
            np.testing.assert_allclose(np.array(points), np.array(exact), atol=0.0051)
