"""What is committed in results/ is what its data give: `make figures` on a clean checkout changes no table."""

import time
from pathlib import Path

import pytest

import experiments
from analysis.report import build

RESULTS = Path(experiments.__file__).parents[1] / "results"


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    out, start = tmp_path_factory.mktemp("rebuilt"), time.process_time()
    build(RESULTS, out)
    return out, time.process_time() - start


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_tables_come_out_identical(rebuilt: tuple[Path, float]) -> None:
    committed, made = RESULTS / "tables", rebuilt[0] / "tables"
    assert names(made) == names(committed)
    different = [name for name in sorted(names(made)) if (made / name).read_bytes() != (committed / name).read_bytes()]
    assert not different, "run `make figures` and commit what it writes"


def test_the_figures_are_all_there(rebuilt: tuple[Path, float]) -> None:
    assert names(rebuilt[0] / "figures") == names(RESULTS / "figures")


def test_drawing_everything_takes_less_than_two_minutes(rebuilt: tuple[Path, float]) -> None:
    assert rebuilt[1] < 120
