"""Write into docs/ what is measured: ``python tools/fill_docs.py``, which `make docs` runs first.

A page marks the place, this file says what is measured, and tests/docs compares the two.
"""

import ast
import csv
import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS, RESULTS = ROOT / "docs", ROOT / "results"
UNMEASURED = "not measured yet"
WORDS = {  # of the responses of the study of readings but the first, whose effect is printed
    "none": "no clipping or penalty",
    "pendulum": "InvertedPendulum",
    "kl": "KL",
    "surrogate_cpi": "L_CPI",
    "surrogate_clipped": "E[clip(r) A]",
    "surrogate_clip": "L_CLIP",
}


def throughput(samples: Path = RESULTS / "throughput" / "samples.json") -> str:
    """Return the table of `make throughput`."""
    if not samples.exists():
        return "Not measured with this version yet."
    from experiments.store.files import read_json  # here: it takes seconds to import
    from experiments.throughput.command import markdown

    measured = read_json(samples)
    versions = ", ".join(f"{name} {version}" for name, version in measured["versions"].items())
    return f"{measured['machine']}; commit {measured['commit']}; {versions}.\n\n{markdown(measured)}"


def humanoid_throughput() -> str:
    """Return the table of the humanoids' part of `make throughput`."""
    return throughput(RESULTS / "throughput" / "humanoid.json")


def humanoid(test: Path = ROOT / "tests" / "envs" / "test_roboschool_bullet.py") -> str:
    """Return the table of the errors that the humanoids' test allows 1.3 times of."""
    (errors,) = [
        ast.literal_eval(node.value)
        for node in ast.parse(test.read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ERRORS"
    ]
    lines = [
        "| steps | torso velocity, m/s | torso spin, rad/s | legs and waist, rad/s | arms, rad/s | mean position, mm "
        "| equal contact flags |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [f"| {name} | {' | '.join(map(str, row[:5]))} | {row[5]:.1%} |" for name, row in errors.items()]
    return "\n".join(lines)


def effects(table: Path = RESULTS / "tables" / "readings_effects.csv") -> dict[str, str]:
    """Return what each detail does, by its name in the study of readings; empty before that is measured."""
    found: dict[str, dict[str, list[dict[str, str]]]] = {}
    if table.exists():
        with table.open() as file:
            for row in csv.DictReader(file):
                found.setdefault(row["detail"], {}).setdefault(row["response"], []).append(row)
    return {detail: _told(responses) for detail, responses in found.items()}


def _told(responses: dict[str, list[dict[str, str]]]) -> str:
    scores = "; ".join(
        f"{row['level']}: "
        + f"{float(row['effect']):+.0f} [{float(row['low']):.0f}, {float(row['high']):.0f}]".replace("-", "−")
        for row in responses.get("clip", [])
    )
    shown = [
        words
        for name, words in WORDS.items()
        if any(float(row["low"]) > 0 or float(row["high"]) < 0 for row in responses.get(name, []))
    ]
    return (scores or UNMEASURED) + (f"; also {', '.join(shown)}" if shown else "")


TABLES: dict[str, Callable[[], str]] = {
    "throughput": throughput,
    "humanoid": humanoid,
    "humanoid_throughput": humanoid_throughput,
}
PAGES = ("performance.md", "humanoid.md", "implementation-details.md")


def filled(text: str, details: dict[str, str]) -> str:
    """Return a page's text with a table in every marked place, and in each row of a detail its effect as last cell."""
    place = r"(<!-- filled by tools/fill_docs.py: (\w+) -->\n).*?(<!-- end -->)"
    text = re.sub(place, lambda match: f"{match[1]}{TABLES[match[2]]()}\n{match[3]}", text, flags=re.DOTALL)
    row = r"(?m)^(\|.*\| `([a-z0-9-]+)` \| )[^|]*( \|)$"
    return re.sub(row, lambda match: f"{match[1]}{details.get(match[2], UNMEASURED)}{match[3]}", text)


def pages() -> dict[str, str]:
    """Return every page that holds something measured, as it should be."""
    details = effects()
    return {name: filled((DOCS / name).read_text(), details) for name in PAGES}


if __name__ == "__main__":
    for name, text in pages().items():
        (DOCS / name).write_text(text)
