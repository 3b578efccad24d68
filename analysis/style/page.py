"""One HTML page that holds everything: text, tables, pictures, charts. Nothing is loaded from outside."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from analysis.style.chart import Chart, to_json
from analysis.style.drawing import Drawing
from analysis.style.formats import Table, table_html
from experiments.store.files import write_bytes

MOST_BYTES = 6_000_000
"""No report of the whole paper is larger: of 4.9 MB today 3.8 are pictures, 0.4 the numbers of the charts."""
AS_IT_IS = ' "()*+,/:;=?@!$[]{|}'
"""What an address in single quotes holds of a picture's text, beside letters and digits; the rest is encoded."""
MOST_VECTORS = 500_000
"""Bytes of an SVG beyond which the page has the PNG: hundreds of curves are smaller in pixels."""

_FOLDER = Path(__file__).parent
STYLE, SCRIPT = ((_FOLDER / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))


@dataclass(frozen=True)
class Section:
    """One chapter: what the paper claims, the figure that shows it, and the details folded under it."""

    title: str
    tables: Sequence[Table]
    drawings: Sequence[Drawing]
    charts: Sequence[Chart] = ()
    claim: str = ""
    """A sentence on what is to be seen; "" for none."""


def page(
    title: str,
    lead: str,
    summary: str,
    sections: Sequence[Section],
    ends: Mapping[str, str],
    pictures: Mapping[str, Mapping[str, bytes]],
) -> str:
    """Return the page: the summary first, then a chapter for each section, then `ends` (title: HTML).

    `lead` is text; `summary` is HTML; `pictures`: of every drawing, by its name, what `drawing.pictures`
    returns.
    """
    titles = [*(section.title for section in sections), *ends]
    contents = "".join(f'<li><a href="#section-{n}">{html.escape(name)}</a></li>' for n, name in enumerate(titles, 1))
    body = [_section(number, section, pictures) for number, section in enumerate(sections, start=1)]
    body += [
        f'<h2 id="section-{number}">{html.escape(name)}</h2>\n{content}'
        for number, (name, content) in enumerate(ends.items(), start=len(sections) + 1)
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{STYLE}</style></head>\n<body>\n<h1>{html.escape(title)}</h1>\n"
        f"<p>{code(lead)}</p>\n{summary}\n<nav><ul>{contents}</ul></nav>\n" + "\n".join(body) + "\n"
        f"<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _section(number: int, section: Section, pictures: Mapping[str, Mapping[str, bytes]]) -> str:
    """Return a chapter: its first picture or, without one, its first table open, the rest folded."""
    parts = [f'<h2 id="section-{number}">{html.escape(section.title)}</h2>']
    parts += [f'<p class="claim">{code(section.claim)}</p>'] if section.claim else []
    charts = {chart.name: chart for chart in section.charts}
    figures = [_figure(each, charts.get(each.name), pictures[each.name]) for each in section.drawings]
    tables = [table_html(table) for table in section.tables]
    if not tables and not figures:
        parts.append("<p>No data yet: see “What is missing”.</p>")
    first = figures[:1] or tables[:1]
    rest = [("Figure", each.title, one) for each, one in zip(section.drawings[1:], figures[1:], strict=True)]
    rest += [("Table", table.title, one) for table, one in zip(section.tables, tables, strict=True) if one not in first]
    parts += first
    parts += [f"<details><summary>{kind}: {html.escape(name)}</summary>\n{one}\n</details>" for kind, name, one in rest]
    return "\n".join(parts)


def _figure(drawing: Drawing, chart: Chart | None, picture: Mapping[str, bytes]) -> str:
    title = html.escape(drawing.title)
    data, hint = "", ""
    if chart:
        data = f'<script type="application/json" id="chart-{chart.name}">{to_json(chart)}</script>\n'
        hint = ' <span class="hint">Point at a line for its values; click a name to switch it off or on.</span>'
    alternative = html.escape(f"{drawing.title}. {_first_sentence(drawing.caption)}")
    return (
        f'<figure id="figure-{drawing.name}">\n<h3>{title}</h3>\n{data}'
        f'<img class="static" alt="{alternative}" src=\'{_source(picture)}\'>\n'
        f"<figcaption>{code(drawing.caption)}{hint}</figcaption>\n</figure>"
    )


def _source(picture: Mapping[str, bytes]) -> str:
    """Return the picture as an address, to stand in single quotes; text as it is, for base64 adds a third to it."""
    if len(picture["svg"]) > MOST_VECTORS:
        return f"data:image/png;base64,{base64.b64encode(picture['png']).decode()}"
    text = picture["svg"].replace(b"\n", b" ")
    return f"data:image/svg+xml,{quote(text, safe=AS_IT_IS)}"


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0].rstrip(".") + "."


def code(text: str) -> str:
    """Escape text, with `backticks` as code."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))


def write(path: Path, content: bytes) -> None:
    """Write a file of the report, and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content)
