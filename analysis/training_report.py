"""The page of a folder of `ppo train`: its curves, scores and sweeps, and nothing of the paper's."""

from __future__ import annotations

from pathlib import Path

from analysis.data.completeness import missing
from analysis.data.load import gather_training
from analysis.sections.yours import training
from analysis.style import formats, page
from analysis.style.drawing import pictures
from experiments.store.files import check_tree

LEAD = (
    "Runs of `ppo train`. Returns are raw, undiscounted, of training episodes; steps are environment steps. The same "
    "command continues what is not finished."
)


def is_training(folder: Path) -> bool:
    """Tell whether FOLDER is one of `ppo train`, and not of the paper's protocols."""
    return (folder / "manifest.json").exists()


def build(folder: Path, out: Path) -> list[str]:
    """Write OUT/report.html with OUT/tables and OUT/figures from FOLDER; returns what is missing, a line each.

    Raises ValueError, one line, if the folder's data cannot be read.
    """
    check_tree(folder)
    check_tree(out)
    data = gather_training(folder)
    if data.problem:
        raise ValueError(data.problem.rstrip("."))
    scores, sweeps = training.scores_table(data), training.sweeps(data)
    drawing = training.figure(data)
    charts = [training.chart(data)] if len(data.episodes) else []
    sections = [page.Section("Learning curves", [], [drawing], charts), page.Section("Scores", [scores], [])]
    sections += [page.Section(table.title, [table], []) for table in sweeps]
    for table in (scores, *sweeps):
        for kind, dress in (("md", formats.markdown), ("csv", formats.csv), ("tex", formats.latex)):
            page.write(out / "tables" / f"{table.name}.{kind}", dress(table).encode())
    drawn = pictures(drawing)
    for kind, content in drawn.items():
        page.write(out / "figures" / f"{drawing.name}.{kind}", content)
    gaps = missing(data)
    lines = "".join(f"<li>{page.code(gap)}</li>" for gap in gaps) or "<li>Nothing: every run is finished.</li>"
    summary = "".join(f"<p><strong>{page.code(note)}</strong></p>" for table in sweeps for note in table.notes)
    ends = {"What is missing": f"<ul>{lines}</ul>"}
    whole = page.page(f"Runs in {folder.resolve().name}", LEAD, summary, sections, ends, {drawing.name: drawn})
    page.write(out / "report.html", whole.encode())
    return gaps
