"""The Python and the commands of the pages are run, and give what the pages and the tables say."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import experiments

ROOT = Path(experiments.__file__).parents[1]


def snippets(page: str) -> list[str]:
    found: list[str] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    return found


def run(folder: Path, *command: str) -> str:
    """What a command prints that is run by this Python in ``folder``."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_statistics_snippet_gives_the_scores_of_figure_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = snippets("statistics.md")
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    exec(code, names)
    printed = capsys.readouterr().out
    table = pd.read_csv("results/tables/figure3.csv")
    table = table[table["last_100_episodes"].notna()]
    assert len(table) == 56
    for row in table.to_dict("records"):
        assert row["algorithm"] in printed
        trained = names["scores"].drop("untrained", level="setting")[f"{row['environment']}-v4", row["algorithm"]]
        assert len(trained) == row["runs"]
        assert trained.mean() == pytest.approx(row["last_100_episodes"], rel=1e-9)


def test_python_snippet_trains_loads_and_plays(tmp_path: Path) -> None:
    code, _ = snippets("python.md")
    *_, mean = run(tmp_path, "-c", code).split()
    assert float(mean) > 9
    assert (tmp_path / "runs" / "cartpole" / "episodes.parquet").exists()


def test_python_snippet_trains_three_runs(tmp_path: Path) -> None:
    _, code = snippets("python.md")
    scores = [float(word) for word in run(tmp_path, "-c", code).strip("[]\n ").split()]
    assert len(set(scores)) == 3
    assert all(20 < score < 200 for score in scores)


def test_the_page_s_own_environment_is_trained_and_played(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "your-environment.md").read_text()
    (tmp_path / "line.py").write_text(snippets("your-environment.md")[0])
    train, evaluate = re.findall(r"(?m)^    ppo (\w+ .*(?:line).*)$", page.partition("## A new environment")[2])
    run(tmp_path, "-m", "experiments", *shlex.split(train.replace("20480", "2048")))
    played = run(tmp_path, "-m", "experiments", *shlex.split(evaluate))
    assert [line.split()[0] for line in played.splitlines()[-2:]] == ["line:Line-v0", "line:Line-v0"]


def test_humanoid_snippet_makes_the_environment(tmp_path: Path) -> None:
    (code,) = snippets("humanoid.md")
    assert run(tmp_path, "-c", code + "print(env.spec.id)\n") == "RoboschoolHumanoid-v0\n"
