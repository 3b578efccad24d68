from __future__ import annotations

from pathlib import Path
from typing import Any

from analysis.data.labels import ALGORITHMS, ENVIRONMENTS
from analysis.data.load import gather
from analysis.data.published import published
from analysis.sections.other_implementations import elsewhere
from tests.helpers.synthetic import write_figure3


def test_ours_the_papers_and_others_by_algorithm(tmp_path: Path) -> None:
    table = elsewhere(gather(write_figure3(tmp_path, ("ppo", "trpo-2017")), "figure3"))
    rows = {
        name: group.drop(columns="Algorithm").to_numpy().tolist() for name, group in table.shown.groupby("Algorithm")
    }
    ours, _, paper, td3, *_ = rows["PPO (Clip)"]
    assert ours[:6] == ["This project", "v4", "20,000", "2", "last 100 episodes", "150‡"]
    assert paper[5:] == ["1810", "2130", "7308", "955", "−7.1", "106", "3070"]
    assert td3[5:] == ["1795", "2165", "8978", "1000", "−6.2", "–", "3318"]
    assert "2513 [2391, 2632]" in table.shown["Hopper"].tolist()
    as_released = rows["TRPO as released in 2017"]
    assert [row[0].split(",")[0] for row in as_released] == ["This project"] * 2 + ["PPO paper", "TD3 paper"]
    assert as_released[2][5:] == rows["TRPO"][0][5:]  # the paper's one TRPO
    assert as_released[3][5:] == ["−15.6", "2471", "206", "985", "−111", "–", "2321"]
    assert rows["TRPO"][1][5:] == ["1290", "1913", "6732", "905", "−4.8", "95.0", "2343"]
    assert [row[0] for row in rows["CEM"]] == ["PPO paper, Figure 3 (digitised)"]
    assert set(table.data["algorithm"]) == {"ppo", "trpo", "trpo-2017", "a2c", "vpg", "npg"}


def test_published_rows_name_source_task_and_algorithm() -> None:
    """Every published row names its source, a task and an algorithm."""
    rows = published("elsewhere")
    assert set(rows["algorithm"]) <= set(ALGORITHMS)
    assert set(rows["environment"]) <= set(ENVIRONMENTS)
    assert rows[["source", "environment_version", "metric", "score"]].notna().all(axis=None)
    assert not rows.duplicated(["algorithm", "source", "environment_version", "steps", "environment"]).any()


def test_ours_has_seeds_1_to_3_and_all(tmp_path: Path) -> None:
    """Our rows are of seeds 1, 2, 3 and, where an algorithm has more, of all."""

    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        return None if run["algorithm"] == "a2c" and run["seed"] > 3 else run

    results = write_figure3(tmp_path, ("ppo", "a2c"), seeds=range(1, 6), change=change)  # 100 x seed
    table = elsewhere(gather(results, "figure3"))
    ours = table.shown[table.shown["Source"] == "This project"].set_index("Algorithm")
    three, five = [["3", "200"]] * 2, [["5", "300"]] * 2  # of two metrics
    assert ours.loc["PPO (Clip)", ["Seeds", "Swimmer"]].to_numpy().tolist() == [*three, *five]
    assert ours.loc["A2C", ["Seeds", "Swimmer"]].to_numpy().tolist() == three
    numbers = table.data.query("source == 'This project' and environment == 'Swimmer'").set_index("algorithm")
    assert numbers.loc["ppo", ["seeds", "score"]].to_numpy().tolist() == [[3, 200]] * 2 + [[5, 300]] * 2
    assert numbers.loc["a2c", ["seeds", "score"]].to_numpy().tolist() == [[3, 200]] * 2
