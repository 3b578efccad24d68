"""All tables and figures from results/, and one page with all of them. Works on any part of the data."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import claims, export, provenance, training_report
from analysis.claims import Evidence
from analysis.data import calibration
from analysis.data.completeness import current, incomplete, missing
from analysis.data.imported import Imported, gather_imported
from analysis.data.load import Data, gather, gather_interpolation, gather_updates
from analysis.sections import (
    figure1_2,
    figure3,
    figure3_aggregate,
    figure3_multiples,
    klip_ppo,
    other_implementations,
    trpo_variants,
    tuning,
)
from analysis.sections.atari import acer, figure6, human_normalised, places, precision, prefix, tables2_6, windows
from analysis.sections.charts import figure3 as figure3_chart
from analysis.sections.charts import table1 as table1_charts
from analysis.sections.humanoid import figure4, settings
from analysis.sections.humanoid import readings as readings_of_humanoids
from analysis.sections.humanoid import tuning as tuning_of_humanoids
from analysis.sections.readings import nearest as nearest_readings
from analysis.sections.readings import report as study_of_readings
from analysis.sections.table1 import curves as table1_curves
from analysis.sections.table1 import runs as table1_runs
from analysis.sections.table1 import seeds as table1_seeds
from analysis.sections.table1 import table as table1
from analysis.sections.table1.reacher import reacher
from analysis.sections.yours import imported
from analysis.style import formats, page
from analysis.style.drawing import Drawing, pictures
from analysis.style.formats import Table
from analysis.style.page import Section
from experiments.store.files import check_tree
from experiments.store.printable import printable

TITLE = "Proximal Policy Optimization Algorithms, reproduced"
LEAD = (
    "Tables and figures of Schulman et al. 2017 (arXiv 1707.06347) beside our measurements. Returns are raw, "
    "undiscounted, of training episodes; steps are environment steps. Numbers and curves of the paper are its printed "
    "tables, or digitised from its figures and named so."
)

EPISODES = (
    *("table1", "readings", "readings-best", "figure3", "figure4", "figure4-tuning", "atari", "atari-readings"),
    *("precision", "tuning", "klip-ppo", "none-on-reacher", "acer-on-breakout", "figure4-readings"),
    "figure4-settings",
)
"""The protocols whose runs have episodes, in the order of scores.csv."""
READINGS = tuple(f"readings_{name}" for name in ("effects", "cells", "points", "best", "decided", "tasks", "aliases"))
WAITING = {
    "tables": (
        (
            "table1_ranks",
            "table1_three_seeds",
            "table1_correlation",
            "table1_reacher",
            *READINGS,
            "figure2_settings",
            "tuning",
            "figure4_tuning",
            "figure4_readings",
            "figure4_settings",
            "atari_places",
            "atari_prefix",
            "atari_readings",
            "atari_acer",
            "atari_precision",
            "klip_ppo",
            "imported",
        ),
        ("md", "csv", "tex"),
    ),
    "figures": (
        (
            "table1_curves",
            "readings",
            "figure3_aggregate",
            "figure4_readings",
            "figure5",
            "tuning",
            "figure6_games",
            "klip_ppo",
            "imported",
        ),
        ("png", "svg"),
    ),
}
"""Tables and figures that are written only if there are data, because the paper has no numbers. An older file of one of
these names and endings is removed, and no other."""


def build(results: Path, out: Path) -> list[str]:
    """Write OUT/tables/*.{md,csv,tex}, OUT/figures/*.{png,svg} and OUT/report.html from RESULTS/<protocol>/.

    Also OUT/tables/scores.csv, every run's score for other tools.

    Every file is written, with only the paper's numbers if there are none of ours, except those of WAITING. Returns a
    line for everything that is missing, unreadable, unfinished or diverged.
    """
    check_tree(results)
    check_tree(out)
    data = {name: gather(results, name) for name in EPISODES}
    first_update, line = gather_interpolation(results)
    moved, moved_line = gather_interpolation(results, "figure2-settings")
    (updates, gap), (their_updates, _) = (gather_updates(results, name) for name in ("readings", "readings-best"))
    imports = gather_imported(results)
    sections = [
        _clipped_objective(first_update, line, moved, moved_line),
        _surrogates(data["table1"], data["none-on-reacher"]),
        _readings(data["readings"], updates, data["readings-best"], their_updates),
        _comparison(data["figure3"], imports),
        _humanoids(data, figure4.figure5(results)),
        _atari(*(data[name] for name in ("atari", "atari-readings", "acer-on-breakout", "precision"))),
        _tuning(data["tuning"]),
        _outside_check(data["klip-ppo"]),
    ]
    sections += [_imported(imports, data["figure3"])] if imports else []
    protocols = [*data.values(), first_update, moved]
    gaps = [line for one in [*protocols, *(one.data for one in imports)] for line in missing(one)]
    gaps += [gap] if gap and len(data["readings"].trained) else []
    judged = [one for one in (data["table1"], data["figure3"], data["atari"]) if not one.problem]
    notes = tuple(dict.fromkeys(f"{one.protocol}: {note}" for one in judged for note in incomplete(one)))
    found = claims.table(evidence(data["table1"], data["figure3"], first_update, line, data["atari"]), notes)
    _write_tables(out, [found, *(table for section in sections for table in section.tables)])
    recorded = export.every_score(list(data.values()))
    page.write(out / "tables" / "scores.csv", formats.comma_separated(recorded).encode())
    drawn = _write_figures(out, [drawing for section in sections for drawing in section.drawings])
    summary = formats.table_html(found)
    whole = page.page(TITLE, LEAD, summary, sections, _ends(gaps, protocols), drawn)
    page.write(out / "report.html", whole.encode())
    return gaps


def _write_tables(out: Path, tables: list[Table]) -> None:
    _remove_old(out / "tables", {table.name for table in tables})
    for table in tables:
        for kind, dress in (("md", formats.markdown), ("csv", formats.csv), ("tex", formats.latex)):
            page.write(out / "tables" / f"{table.name}.{kind}", dress(table).encode())


def _write_figures(out: Path, drawings: list[Drawing]) -> dict[str, dict[str, bytes]]:
    """Write the figures and return their files' contents, by name and kind."""
    _remove_old(out / "figures", {drawing.name for drawing in drawings})
    drawn: dict[str, dict[str, bytes]] = {}
    for drawing in drawings:
        drawn[drawing.name] = pictures(drawing)
        for kind, content in drawn[drawing.name].items():
            page.write(out / "figures" / f"{drawing.name}.{kind}", content)
    return drawn


def _remove_old(folder: Path, made: set[str]) -> None:
    names, kinds = WAITING[folder.name]
    for name, kind in itertools.product(set(names) - made, kinds):
        (folder / f"{name}.{kind}").unlink(missing_ok=True)


def _ends(gaps: list[str], protocols: list[Data]) -> dict[str, str]:
    """Return the last chapters: what chose what, what is missing, where the numbers are from."""
    choices = "".join(f"<li>{page.code(calibration.note(choice))}</li>" for choice in calibration.CHOICES)
    lines = "".join(f"<li>{page.code(gap)}</li>" for gap in gaps) or "<li>Nothing: every planned run is finished.</li>"
    chosen = "<p>Only a number that nothing was chosen by can agree with the paper. Marked wherever they stand:</p>\n"
    return {
        "What was chosen by what": f"{chosen}<ul>{choices}</ul>",
        "What is missing": f"<ul>{lines}</ul>",
        "Provenance": "".join(provenance.table_html(data) for data in protocols),
    }


def evidence(
    surrogates: Data, algorithms: Data, first_update: Data, line: pd.DataFrame | None, games: Data
) -> Evidence:
    """Gather what the paper's claims are judged by: runs that are complete and not superseded."""
    runs = current(tables2_6.measured(games))
    counted = tables2_6.counted(games, runs) if len(runs) and games.fraction == 1 else []
    won = {name: tables2_6.winners(tables2_6.means(runs, counted, name)) for name in tables2_6.METRICS if counted}
    return Evidence(
        current(table1.evaluate(surrogates).runs),
        current(figure3_aggregate.normalised(algorithms)),
        None if len(first_update.trained) and current(first_update.trained).empty else line,
        pd.DataFrame(won),
    )


def _clipped_objective(data: Data, line: pd.DataFrame | None, moved: Data, moved_line: pd.DataFrame | None) -> Section:
    drawings = [figure1_2.figure1(), figure1_2.figure2(data, line)]
    made = [figure1_2.figure2_table(data, line), figure1_2.figure2_update(data, line)]
    made += [] if moved_line is None else [figure1_2.figure2_settings(moved, moved_line, line)]
    claim = "Paper: L_CLIP is a lower bound of L_CPI, and penalises too large a step of the policy."
    return Section("The clipped objective (section 3)", made, drawings, claim=claim)


def _surrogates(data: Data, fallen: Data) -> Section:
    parts = table1.evaluate(data)
    rows = table1.table1_rows(data, parts)
    made = [table1.table1(data, parts)]
    made += [table1_seeds.ranks(data, parts)] if any(np.isfinite(row.low) for row in rows) else []
    more = table1_seeds.more_than_three(parts, [row.setting for row in rows])
    made += [table1_seeds.three_seeds(data, parts)] if more else []
    made += [table1_seeds.correlation(data, parts)] if len(more) >= 3 else []
    made += [table1_runs.normalised_by_environment(data, parts), table1_runs.raw_scores(data, parts)]
    made += [reacher(fallen, data)] if len(fallen.trained) else []
    drawings = [table1.table1_scores(rows, data, parts.runs)]
    drawings += [table1_curves.figure(data)] if len(data.episodes) else []
    charts = [table1_charts.scores(rows), *([table1_charts.curves(data)] if len(data.trained) else [])]
    claim = "Paper: the clipped objective performs best, and without clipping or penalty the score is negative."
    return Section("Surrogate objectives (section 6.1)", made, drawings, charts, claim)


def _readings(data: Data, updates: pd.DataFrame | None, best: Data, best_updates: pd.DataFrame | None) -> Section:
    title = "What the text leaves open"
    if data.trained.empty:
        return Section(title, [], [])
    study = study_of_readings.study(data, updates)
    made = study_of_readings.tables(study)
    if len(best.trained):
        made += [nearest_readings.decided(study, best, best_updates), nearest_readings.on_all_tasks(best)]
    return Section(title, made, [study_of_readings.figure(study)])


def _comparison(data: Data, imports: list[Imported]) -> Section:
    runs = figure3_aggregate.normalised(data)
    rows, drawings = figure3_aggregate.rows(data, runs), [figure3.figure3(data), figure3_multiples.figure(data)]
    made = [
        figure3_aggregate.aggregate(data, runs, rows),
        figure3.ppo_beside_the_band(data),
        figure3.figure3_table(data),
        trpo_variants.trpo(data),
        other_implementations.elsewhere(data),
    ]
    drawings += [figure3_aggregate.figure(rows, data, runs)] if any(row.runs for row in rows) else []
    claim = "Paper: PPO outperforms the previous methods on almost all of the continuous control tasks."
    charts = [figure3_chart.chart(data, imports)]
    return Section("Comparison with other algorithms (section 6.2)", made, drawings, charts, claim)


def _humanoids(every: Mapping[str, Data], stills: Drawing | None) -> Section:
    data, short, changed, before = (every[f"figure4{name}"] for name in ("", "-tuning", "-settings", "-readings"))
    made = [figure4.figure4_table(data), figure4.table4(data)]
    drawings = [figure4.figure4(data)] + ([stills] if stills else [])
    if before.trained["complete"].any():
        made.append(readings_of_humanoids.table(data, before))
        drawings.append(readings_of_humanoids.figure(data, before))
    made += [tuning_of_humanoids.table(short)] if len(short.trained) else []
    made += [settings.table(changed)] if changed.trained["complete"].any() else []
    return Section("Humanoids that run and steer (section 6.3)", made, drawings)


def _atari(data: Data, readings: Data, replayed: Data, halved: Data) -> Section:
    runs, smoothed = tables2_6.measured(data), figure6.smoothed(data)
    made = [
        tables2_6.table2(data, runs, smoothed),
        tables2_6.table6(data, runs),
        human_normalised.table(data, runs, smoothed),
    ]
    if places.finished(smoothed):
        made.insert(1, places.places(data, smoothed))
        made += [prefix.prefix(data, smoothed)] if data.fraction < 1 else []
    read, changed = figure6.smoothed(readings), figure6.smoothed(replayed)
    made += [places.readings(readings, read)] if places.finished(read) else []
    made += [acer.changes(replayed, changed)] if places.finished(changed) else []
    made.append(windows.table())
    made += [precision.table(halved)] if len(halved.trained) else []
    few = figure6.few(smoothed)
    drawings = [figure6.figure6_games(data, smoothed, few)] if few else []
    drawings += [figure6.figure6(data, smoothed), human_normalised.profile(data, smoothed)]
    claim = "Paper: over all of training PPO wins most of 49 games; by the last 100 episodes ACER wins more."
    return Section("Comparison on the Atari domain (section 6.4)", made, drawings, claim=claim)


def _tuning(data: Data) -> Section:
    made = [tuning.tuning(data)] if len(data.trained) else []
    drawings = [tuning.figure(data)] if len(data.episodes) else []
    return Section("How the comparison algorithms were tuned", made, drawings)


def _outside_check(data: Data) -> Section:
    made = [klip_ppo.table(data)] if len(data.trained) else []
    drawings = [klip_ppo.figure(data)] if len(data.trained) else []
    return Section("Not the paper's: an outside check (KLip-PPO)", made, drawings)


def _imported(imports: list[Imported], ours: Data) -> Section:
    drawings = [imported.figure(imports, ours)] if any(len(one.data.runs) for one in imports) else []
    return Section("Runs of other programs", [imported.table(imports, ours)], drawings)


def report(results: Path, out: Path) -> int:
    """Write OUT/report.html, tables and figures of any results folder, and print what is missing; return the exit code.

    Raises ValueError, one line, for a folder of `ppo train` that cannot be read.
    """
    make = training_report.build if training_report.is_training(results) else build
    try:
        gaps = make(results, out)
    except OSError as error:
        print(printable(f"cannot write {error.filename or out}: {error.strerror}"), file=sys.stderr)
        return 1
    for gap in gaps:
        print(printable(gap))
    print(f"wrote {out / 'report.html'}")
    return 0
