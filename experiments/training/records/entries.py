"""The manifest's entry of a trained run."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.run import Run
from experiments.store import provenance
from ppo.algorithm import Algorithm


def trains_with() -> dict[str, Any]:
    """Return the versions and the processor that this process trains with."""
    return {**provenance.versions(), "processor": provenance.processor()}


def begins_with() -> dict[str, Any]:
    """Return those and the commit: what a training begins with that begins now."""
    return {**trains_with(), "commit": provenance.commit()}


def entries(
    runs: Sequence[Run],
    algorithm: Algorithm,
    failures: Mapping[int, str],
    *,
    engine: str,
    device: str,
    began_with: Mapping[str, Any],
    wall_time: float,
    inexact: Sequence[Sequence[Any]] = (),
) -> list[dict[str, Any]]:
    """Return the manifest's entry of each of a stack's runs. ``failures``: by the index of each run whose environment
    failed, what is to be said of it: it has no episodes that count, and is to be trained again. ``engine`` and
    ``device`` in words; ``wall_time`` in seconds; ``inexact``: from which steps on, and why, it may not be what it
    would have been without a stop."""
    now = begins_with()
    common = {
        "status": "finished",
        "steps_done": algorithm.steps_done,
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        **({"began_with": dict(began_with)} if began_with != now else {}),
        "machine": provenance.machine(),
        "processor": provenance.processor(),
        "device": device,
        "engine": engine,
        "threads": 1,
        "stack": len(runs),
        "wall_time": round(wall_time, 3),
        **({"inexact": [list(each) for each in inexact]} if inexact else {}),
    }
    diverged = algorithm.diverged_at
    recorded = [
        {**run.record.to_json(), **common, "diverged_at": step} for run, step in zip(runs, diverged, strict=True)
    ]
    for run, why in failures.items():
        recorded[run] |= {"status": "failed", "failed_at": diverged[run], "diverged_at": None, "error": why}
    return recorded
