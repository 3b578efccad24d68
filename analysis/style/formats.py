"""A table in four formats: Markdown, CSV (the numbers, with ten digits), LaTeX (booktabs) and HTML."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass

import pandas as pd

from experiments.store.printable import printable

NOTHING = "–"
"""The cell of a missing number."""

# Characters that LaTeX needs escaped; longer patterns first.
_LATEX = {
    "d_targ": r"$d_{\mathrm{targ}}$",
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "ε": r"$\epsilon$",
    "β": r"$\beta$",
    "σ": r"$\sigma$",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "§": r"\S{}",
    "≥": r"$\geq$",
    "<": r"$<$",
    "–": "--",
    "·": r"$\cdot$",
    "$": r"\$",
    "{": r"\{",
    "}": r"\}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    ">": r"$>$",
    "|": r"$|$",
    "’": "'",
    "“": "``",
    "”": "''",
}

# What Markdown takes for more than text, and a browser that shows it.
_MARKDOWN = {character: f"\\{character}" for character in "\\`*<>|"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell of a spreadsheet begins with that is computed."""


@dataclass(frozen=True)
class Table:
    """A finished table. `shown` has the cells as text, `data` the same facts as numbers, for other programs."""

    name: str
    title: str
    caption: str
    shown: pd.DataFrame
    data: pd.DataFrame
    notes: tuple[str, ...] = ()
    text_columns: int = 1
    """Number of columns with text, from the left (aligned left); the others have numbers (aligned right)."""


def number(value: float, digits: int | None = None) -> str:
    """Format a number with a true minus sign; without `digits`, no decimals from 100 on, else one."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if digits is None:
        digits = 0 if abs(value) >= 100 else 1
    text = f"{value:,.{digits}f}" if abs(value) >= 10_000 else f"{value:.{digits}f}"
    text = text.lstrip("-") if float(text.replace(",", "")) == 0 else text
    return text.replace("-", "−")


def signed(value: float, digits: int | None = None) -> str:
    """Format a difference, with its sign."""
    text = number(value, digits)
    return f"+{text}" if text != NOTHING and value > 0 else text


def interval(value: float, low: float, high: float, digits: int | None = 2) -> str:
    """Format as '0.80 [0.73, 0.87]'; '0.80 [–]' without an interval, and a dash without a value."""
    if not math.isfinite(value):
        return NOTHING
    bounds = f"{number(low, digits)}, {number(high, digits)}" if math.isfinite(low) else NOTHING
    return f"{number(value, digits)} [{bounds}]"


def p_value(value: float) -> str:
    """Format as '0.012', and '<0.001' below that."""
    return "<0.001" if value < 0.001 else number(value, 3)


def p_values(plain: float, corrected: float) -> str:
    """Format as '0.012 (0.048)': uncorrected, and corrected for the number of comparisons."""
    return f"{p_value(plain)} ({p_value(corrected)})" if math.isfinite(plain) else NOTHING


def markdown(table: Table) -> str:
    """Write the table as Markdown, its columns aligned."""
    rows = [list(table.shown.columns), *table.shown.to_numpy().tolist()]
    words = table.text_columns
    cells = [[*map(_markdown, row[:words]), *(str(cell).replace("|", "\\|") for cell in row[words:])] for row in rows]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(cells[0]))]
    left = [column < table.text_columns for column in range(len(widths))]

    def line(row: list[str]) -> str:
        padded = [c.ljust(w) if at_left else c.rjust(w) for c, w, at_left in zip(row, widths, left, strict=True)]
        return "| " + " | ".join(padded) + " |"

    rule = [("-" * w if at_left else "-" * (w - 1) + ":") for w, at_left in zip(widths, left, strict=True)]
    body = [line(cells[0]), line(rule), *(line(row) for row in cells[1:])]
    notes = [f"- {note}" for note in table.notes]
    parts = [f"# {table.title}", "\n".join(body), table.caption, "\n".join(notes)]
    return "\n\n".join(part for part in parts if part) + "\n"


def csv(table: Table) -> str:
    """Write the table's numbers as CSV."""
    return comma_separated(table.data)


def comma_separated(data: pd.DataFrame) -> str:
    """Write the table as CSV. A text that a spreadsheet would compute gets an apostrophe in front, and is shown."""
    safe = data.rename(columns=_uncomputed)
    for at, kind in enumerate(safe.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            safe.isetitem(at, safe.iloc[:, at].map(_uncomputed).array)
    return safe.to_csv(index=False, lineterminator="\n", float_format=_ten_digits)


def _ten_digits(value: object) -> str:
    """Write a float's ten significant digits: in the last of its seventeen, processors differ."""
    return repr(float(f"{value:.10g}"))


def _uncomputed(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _markdown(text: object) -> str:
    escaped = "".join(_MARKDOWN.get(character, character) for character in printable(str(text)))
    return escaped.replace("](", "]\\(").replace("][", "]\\[")  # or it would be a link


def latex(table: Table) -> str:
    """Return a table environment for a document with \\usepackage{booktabs}."""
    columns = table.shown.columns
    alignment = "l" * table.text_columns + "r" * (len(columns) - table.text_columns)
    rows = [" & ".join(_latex(str(cell)) for cell in row) + r" \\" for row in table.shown.to_numpy().tolist()]
    caption = " ".join([f"{table.title}.", table.caption, *table.notes])
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_latex(caption)}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        " & ".join(_latex(str(column)) for column in columns) + r" \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def table_html(table: Table, download: bool = True) -> str:
    """Return a figure with the table and a link to its CSV file; on a narrow screen each row becomes a block.

    `download`: whether there is such a file.
    """
    columns = [html.escape(str(column)) for column in table.shown.columns]
    words = [column < table.text_columns for column in range(len(columns))]
    classes = ["" if left else ' class="number"' for left in words]
    head = "".join(f'<th scope="col"{kind}>{name}</th>' for kind, name in zip(classes, columns, strict=True))
    body = "\n".join(
        _row_html([html.escape(str(cell)) for cell in row], columns, classes) for row in table.shown.to_numpy().tolist()
    )
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in table.notes)
    link = f'<a class="download" href="tables/{table.name}.csv" download>CSV</a>' if download else ""
    return (
        f'<figure id="{table.name}">\n<h3>{html.escape(table.title)}{link}</h3>\n'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"
        f"<figcaption>{html.escape(table.caption)}{f'<ul>{notes}</ul>' if notes else ''}</figcaption>\n</figure>"
    )


def _row_html(cells: list[str], columns: list[str], classes: list[str]) -> str:
    """Return a row; its first cell is its header."""
    rest = zip(cells[1:], columns[1:], classes[1:], strict=True)
    others = "".join(f'<td{kind} data-label="{column}">{cell}</td>' for cell, column, kind in rest)
    return f'<tr><th scope="row">{cells[0]}</th>{others}</tr>'


def _latex(text: str) -> str:
    result, text = "", printable(text)
    while text:
        found = next((pattern for pattern in _LATEX if text.startswith(pattern)), None)
        result += _LATEX[found] if found else text[0] if text[0].isascii() else f"[U+{ord(text[0]):04X}]"
        text = text[len(found) if found else 1 :]
    return result
