"""The page in a real browser: lines are switched off, values read, tables fit, and print has the pictures."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from analysis.report import build
from analysis.style.drawing import Drawing, pictures
from analysis.style.page import MOST_BYTES, STYLE, Section, page
from tests.helpers.browser import CHROMIUM, Page, browser
from tests.helpers.contrast import contrast
from tests.helpers.synthetic import write_figure2, write_figure3, write_table1

REPORT = Path(__file__).parents[2] / "results" / "report.html"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two algorithms: PPO's seeds have the returns 100 and 200 everywhere, NPG's too."""
    folder = tmp_path_factory.mktemp("page")
    results = write_figure2(write_figure3(write_table1(folder / "results"), ("ppo", "npg")))
    build(results, folder / "out")
    return folder / "out" / "report.html"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium or google-chrome on the path")
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


PPO_LINES = "document.querySelectorAll('#figure-figure3 .panels [data-series=ppo]').length"


def test_a_legend_entry_switches_its_line_off_and_on(opened: Page, report: Path) -> None:
    opened.open(report)
    assert opened.evaluate(PPO_LINES) == 7
    entry = "#figure-figure3 .legend button[data-series=ppo]"
    opened.click(entry)
    assert opened.evaluate(PPO_LINES) == 0
    assert opened.evaluate(f"document.querySelector('{entry}').getAttribute('aria-pressed')") == "false"
    opened.click(entry)
    assert opened.evaluate(PPO_LINES) == 7


def test_pointing_at_a_panel_tells_the_values_there(opened: Page, report: Path) -> None:
    opened.open(report)
    opened.point("#figure-figure3 .panels svg", across=0.6)
    told = opened.evaluate("document.querySelector('.tip').innerText").splitlines()
    assert told[0].startswith("HalfCheetah, step ")
    assert "PPO (Clip): 150 (100 to 200)" in told
    assert any(line.startswith("TRPO, paper: ") for line in told)
    assert not any("natural" in line.lower() for line in told), "what the paper's figure lacks is off at first"


def test_pointing_at_a_row_of_table_1_tells_its_interval(opened: Page, report: Path) -> None:
    opened.open(report)
    opened.point("#figure-table1 .panels [data-series='clip-0.2']")
    told = opened.evaluate("document.querySelector('.tip').innerText").splitlines()
    assert told[0] == "Clipping, ε = 0.2"
    assert re.fullmatch(r"ours: 0\.\d+ \[.*\]", told[1])
    assert told[2] == "paper: 0.82"


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen(opened: Page, report: Path, width: int) -> None:
    opened.open(report, width)
    opened.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    wide = opened.evaluate(
        "[...document.querySelectorAll('table, figure, img')].filter(one => one.getBoundingClientRect().right > "
        "document.documentElement.clientWidth + 1 || one.scrollWidth > one.clientWidth + 1)"
        ".map(one => one.closest('figure').id)"
    )
    assert wide == []
    assert opened.evaluate("document.documentElement.scrollWidth") <= width


def test_print_has_the_pictures_and_the_screen_the_charts(opened: Page, report: Path) -> None:
    shown = (
        "['img', '.panels'].map(kind => document.querySelector('#figure-figure3 ' + kind))"
        ".map(node => getComputedStyle(node).display != 'none')"
    )
    opened.open(report)
    assert opened.evaluate(shown) == [False, True]
    opened.call("Emulation.setEmulatedMedia", media="print")
    assert opened.evaluate(shown) == [True, False]
    opened.call("Emulation.setEmulatedMedia", media="")


def test_without_scripts_the_pictures_are_there(opened: Page, report: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(
        re.sub(r"<script>.*?</script>", "", report.read_text(encoding="utf-8"), flags=re.DOTALL), encoding="utf-8"
    )
    opened.open(path)
    assert opened.evaluate("document.querySelector('#figure-figure3 img').getBoundingClientRect().width") > 600


def test_a_dark_screen_gets_a_dark_page(opened: Page, report: Path) -> None:
    opened.open(report)
    opened.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 18, 18)"
    opened.call("Emulation.setEmulatedMedia", features=[])


def test_words_and_lines_of_the_page_have_contrast_by_day_and_night() -> None:
    schemes = re.findall(r":root \{(.*?)\}", STYLE, flags=re.DOTALL)
    assert len(schemes) == 2
    for scheme in schemes:
        colours = {
            name: "#" + "".join(2 * letter for letter in value) if len(value) == 3 else "#" + value
            for name, value in re.findall(r"--(\w+): #(\w+)", scheme)
        }
        assert contrast(colours["line"], colours["paper"]) >= 3.0
        for words in ("ink", "faint", "link"):
            assert contrast(colours[words], colours["paper"]) >= 4.5, words
            assert contrast(colours[words], colours["soft"]) >= 4.5, words


def test_lines_of_the_charts_have_contrast_by_day_and_night(report: Path) -> None:
    charts = re.findall(
        r'<script type="application/json" id="[^"]+">(.*?)</script>', report.read_text(encoding="utf-8")
    )
    assert len(charts) == 3
    for chart in map(json.loads, charts):
        for series in (series for panel in chart["panels"] for series in panel["series"]):
            for background in ("#ffffff", "#121212"):
                assert contrast(series["colour"], background) >= 3.0, series["name"]


def test_nothing_is_loaded_from_outside_and_every_table_has_headers_and_its_numbers(report: Path) -> None:
    page = report.read_text(encoding="utf-8")
    for outside in ('src="http', 'href="http', "<link", "@import", "url(http", "fetch(", "import("):
        assert outside not in page
    tables = re.findall(r"<table>.*?</table>", page, flags=re.DOTALL)
    assert all('<th scope="col"' in table and '<th scope="row"' in table for table in tables)
    assert not re.search(r"<th(?! scope)", page.replace("<thead", ""))
    links = re.findall(r'href="(tables/[^"]+\.csv)"', page)
    assert len(links) > 10
    assert [link for link in links if not (report.parent / link).exists()] == []


def test_a_drawing_of_many_curves_is_in_the_page_in_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Drawing("x", "x", "x", Figure(figsize=(2, 2)))
    made = pictures(drawn)

    def shown() -> list[str]:
        whole = page("x", "x", "", [Section("x", [], [drawn])], {}, {"x": made})
        return re.findall(r"src='data:image/(png|svg\+xml)[;,]", whole)

    assert shown() == ["svg+xml"]
    monkeypatch.setattr("analysis.style.page.MOST_VECTORS", len(made["svg"]) - 1)
    assert shown() == ["png"]


def test_every_picture_of_the_committed_report_loads(opened: Page) -> None:
    opened.open(REPORT)
    loaded = opened.evaluate("[...document.images].map(each => each.complete && each.naturalWidth > 100)")
    assert len(loaded) > 10
    assert all(loaded)


def test_a_picture_in_the_page_is_the_files() -> None:
    drawn = Drawing("x", "x", "x", Figure(figsize=(2, 2)))
    drawn.figure.text(0.1, 0.5, "100% of 'this' & <that> # “sí”\nand more")
    made = pictures(drawn)
    whole = page("x", "x", "", [Section("x", [], [drawn])], {}, {"x": made})
    (source,) = re.findall(r"src='([^']*)'", whole)
    assert "#" not in source, "a browser takes what follows for a place in the picture"
    with urllib.request.urlopen(source) as opened:
        assert opened.read() == made["svg"].replace(b"\n", b" ").rstrip()


def test_the_committed_report_is_no_larger_than_it_says() -> None:
    assert REPORT.stat().st_size <= MOST_BYTES
