"""A card beside each saved policy: a short Markdown file that says what it is, how well it did and how to use it; and
a list of all, README.md."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from experiments.run import Run, trainable
from experiments.store import results
from experiments.store.files import StoreError, write_bytes
from experiments.store.printable import printable
from experiments.store.records import Known, records_from_json
from experiments.store.tables import IDENTITY, read_episodes
from ppo import checkpoint
from ppo.checkpoint import CheckpointError
from ppo.training import SCORE_EPISODES

NOT_RECORDED = "not recorded in this folder"


def write_cards(folder: Path, known: Known) -> None:
    """Write RESULTS/policies/NAME.md beside each NAME.pt in the results ``folder``, and a README.md that lists them.

    A file that holds no policy of this version gets none.
    """
    paths = sorted((folder / "policies").glob("*.pt"))
    recorded = results.recorded_runs(folder, known)[0] if paths else {}
    last_episodes = functools.cache(_last_episodes)
    listed = []
    for path in paths:
        try:
            (run,) = trainable(path, records_from_json(path, checkpoint.load(path)["about"]["runs"]))
        except (CheckpointError, StoreError, KeyError, TypeError, ValueError):
            continue
        record = recorded.get(run.key)
        entry = record.entry if record else {}
        score = _score(run, last_episodes(record.episodes)) if record else NOT_RECORDED
        write_bytes(path.with_suffix(".md"), card(path.name, run, entry, score).encode())
        listed.append((path.stem, run, score))
    if listed:
        write_bytes(folder / "policies" / "README.md", index(listed).encode())


def _last_episodes(path: Path) -> pd.DataFrame:
    """Read the last SCORE_EPISODES episodes of every run in a table."""
    return read_episodes(path).sort_values("step", kind="stable").groupby(IDENTITY).tail(SCORE_EPISODES)


def _score(run: Run, last: pd.DataFrame) -> str:
    returns = last.loc[(last[IDENTITY] == list(run.record.name)).all(axis=1), "episodic_return"]
    if returns.empty:
        return "no episode ended"
    return f"{returns.mean():,.1f}, the mean return of its last {len(returns)} training episodes"


def index(listed: Sequence[tuple[str, Run, str]]) -> str:
    """Return the list of cards; ``listed``: each card's name, its run and its score as text."""
    lines = [
        *("# Policies", "", "Each is the policy at the end of one training; its card has the settings.", ""),
        *("| environment | algorithm | setting | seed | score in training |", "|---|---|---|---|---|"),
    ]
    for name, run, score in listed:
        cells = run.environment, f"[{run.algorithm}]({quote(name)}.md)", run.setting, str(run.seed), score
        lines.append("| " + " | ".join(cell.replace("|", "&#124;") for cell in cells) + " |")
    lines += ["", "In this folder:", "", "    ppo evaluate . --episodes 20", "    ppo video ."]
    return "".join(f"{printable(line)}\n" for line in lines)


def card(name: str, run: Run, entry: Mapping[str, Any], score: str) -> str:
    """Return the card of the policy in the file ``name``; ``entry``: the run's in a manifest, or empty."""
    versions = ", ".join(f"{what} {number}" for what, number in sorted((entry.get("versions") or {}).items()))
    steps = f"{entry['steps_done']:,} of {run.total_timesteps:,}" if entry else f"{run.total_timesteps:,}"
    rows = {
        "environment": run.environment,
        "algorithm": f"{run.algorithm}, setting {run.setting}",
        "seed": str(run.seed),
        "steps": steps,
        "score": score,
        "commit": entry.get("commit") or NOT_RECORDED,
        "versions": versions or NOT_RECORDED,
        "licence": "MIT, as the code",
    }
    table = [f"| {what} | {value.replace('|', '&#124;')} |" for what, value in rows.items()]
    warning = [f"**Superseded**, to be trained again: {entry['superseded']}", ""] if entry.get("superseded") else []
    lines = [
        *(f"# {run.algorithm} on {run.environment}", "", *warning),
        *("The policy at the end of one training: its network, and its statistics of the observations.", ""),
        *("| | |", "|---|---|", *table, ""),
        *("In this folder:", "", f"    ppo evaluate {name} --episodes 20", f"    ppo video {name}", ""),
        *("From Python:", "", "    import ppo", "", f'    agent = ppo.load("{name}")'),
        *("    action = agent.act(observation)", "", "Settings:", ""),
        *(f"    {setting} = {value}" for setting, value in sorted(run.record.settings.items())),
    ]
    return "".join(f"{printable(line)}\n" for line in lines)
