"""Where the numbers of a protocol are from: commits, machines and versions of its runs."""

from __future__ import annotations

import html
from typing import Any

import pandas as pd

from analysis.data.load import Data
from analysis.style import formats
from analysis.style.formats import NOTHING, Table


def table_html(data: Data) -> str:
    """Tabulate the versions, machines and engines of a protocol's runs, with the number of runs of each combination."""
    if data.problem or not data.manifest["runs"]:
        return f"<h3>{html.escape(data.protocol)}</h3>\n<p>No runs.</p>"
    begun = [run for run in data.manifest["runs"] if run["status"] != "missing"]
    rows = [
        {
            "Commit": run.get("commit") or NOTHING,
            "Machine": run.get("machine") or NOTHING,
            "Processor": _processor(run.get("processor")),
            "Device": run.get("device") or NOTHING,
            "Threads": str(run.get("threads") or NOTHING),
            "Versions": ", ".join(f"{name} {value}" for name, value in sorted((run.get("versions") or {}).items())),
            "Begun with": _begun_with(run),
            "hours": float(run.get("wall_time") or 0) / 3600,
        }
        for run in begun
    ]
    if not rows:
        return f"<h3>{html.escape(data.protocol)}</h3>\n<p>{len(data.runs)} runs planned, none begun.</p>"
    frame = pd.DataFrame(rows)
    keys = ["Commit", "Machine", "Processor", "Device", "Threads", "Versions", "Begun with"]
    groups = frame.groupby(keys, as_index=False).agg(
        Runs=("hours", "size"), low=("hours", "min"), high=("hours", "max")
    )
    groups["Wall time of a run, hours"] = [
        f"{low:.2f} to {high:.2f}" for low, high in groups[["low", "high"]].to_numpy()
    ]
    table = Table(
        name=f"provenance-{data.protocol}",
        title=f"{data.protocol} ({data.manifest['profile']} profile)",
        caption="Runs trained together as one stack share its wall time, so these do not add up.",
        shown=groups.drop(columns=["low", "high"]),
        data=groups,
        text_columns=7,
    )
    return formats.table_html(table, download=False)


def _begun_with(run: dict[str, Any]) -> str:
    """Name what a run was begun with and not ended with: versions, the commit."""
    began, ended = run.get("began_with") or {}, {**(run.get("versions") or {}), "commit": run.get("commit")}
    others = [name for name in sorted(ended) if name in began and began[name] != ended[name]]
    return ", ".join(f"{name} {began[name]}" for name in others) or NOTHING


def _processor(recorded: dict[str, Any] | None) -> str:
    """Describe the processor's properties that can change a result's bits, in a line; older manifests lack them."""
    if not recorded:
        return NOTHING
    vectors = recorded.get("vector_extensions")
    pairs = sorted(vectors.items()) if isinstance(vectors, dict) else []
    used = ", ".join(f"{name} {value}" for name, value in pairs) or NOTHING
    return f"{recorded.get('family', NOTHING)}, {recorded.get('microarchitecture', NOTHING)}: {used}"
