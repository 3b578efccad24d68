"""Imports point downwards: between the four layers, and between the rooms (folders) inside them.

Read from the source, so imports inside functions count too. The picture and its words: docs/architecture.md.
"""

import ast
import graphlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import experiments

REPOSITORY = Path(experiments.__file__).parents[1]

FLOORS = (  # from the roof down; a room may import those on lower floors
    ("experiments.cli",),
    ("experiments.cli.checking",),
    ("experiments.cli.flags",),
    ("analysis",),
    (
        "analysis.sections",
        "analysis.sections.atari",
        "analysis.sections.charts",
        "analysis.sections.humanoid",
        "analysis.sections.readings",
        "analysis.sections.table1",
        "analysis.sections.yours",
    ),
    ("analysis.style",),
    ("analysis.data",),
    ("experiments.throughput",),
    (
        "experiments.policies",
        "experiments.contract",
        "experiments.importing",
        "experiments.verification",
    ),
    ("experiments.training",),
    ("experiments.training.records",),
    ("experiments.planning",),
    ("experiments.paper",),
    ("experiments",),
    ("experiments.store",),
    ("baselines",),
    ("ppo", "ppo.envs", "ppo.envs.roboschool", "ppo.stacked"),
)
LEVEL = {room: -floor for floor, rooms in enumerate(FLOORS) for room in rooms}

LIBRARY = {"ppo", "ppo.envs", "ppo.envs.roboschool", "ppo.stacked"}
"""Rooms that may import each other: what is only speed, and what it is the speed of. Between their files there is no
circle, as between all others, but for what the type checker alone imports."""
PUBLIC = {"ppo", "ppo.__main__"}
"""The library's public face may import upwards inside functions, and for types."""
ROOF = {"experiments.__main__"}
"""`python -m experiments` is the command line."""

DOZEN = 12
LARGER = {"ppo": 20, "ppo.envs": 14}
"""The library's own files, each of which its users may want to find by name."""

MODULES = {
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): path
    for layer in ("ppo", "baselines", "experiments", "analysis")
    for path in sorted((REPOSITORY / layer).rglob("*.py"))
}


def room(module: str) -> str:
    if module in ROOF:
        return "experiments.cli"
    return ".".join(MODULES[module].parent.relative_to(REPOSITORY).parts)


def walked(node: ast.AST, functions: bool, types: bool) -> Iterator[ast.AST]:
    """A node and those in it, but for what stands in functions, or under ``if TYPE_CHECKING``, if not asked for."""
    yield node
    for child in ast.iter_child_nodes(node):
        late = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        typing = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if not (late and not functions) and not (typing and not types):
            yield from walked(child, functions, types)


def imported(source: str, functions: bool = True, types: bool = True) -> set[str]:
    """The project's modules that a file imports; of ``from package import name`` the module of that name, if any."""
    names = set()
    for node in walked(ast.parse(source), functions, types):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= inner & set(MODULES) or {str(node.module)}
    return names & set(MODULES)


IMPORTS = {
    module: imported(path.read_text(), module not in PUBLIC, module not in PUBLIC) - {module}
    for module, path in MODULES.items()
}


def arrows() -> set[tuple[str, str]]:
    """The modules of different rooms, importing and imported."""
    return {(one, other) for one, others in IMPORTS.items() for other in others if room(one) != room(other)}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import baselines", {"baselines"}),
        ("from analysis.style import formats, cells", {"analysis.style.formats", "analysis.style.cells"}),
        ("from ppo.ppo import PPO", {"ppo.ppo"}),
        ("def late():\n    from experiments.run import Run", {"experiments.run"}),
        ("import numpy\nfrom pathlib import Path", set()),
    ],
)
def test_an_import_is_found_wherever_it_stands(source, found):
    assert imported(source) == found


def test_what_is_imported_late_or_for_types_can_be_left_out():
    source = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import ppo.ppo\ndef late():\n    import baselines\n"
    )
    assert imported(source, functions=False) == {"ppo.ppo"}
    assert imported(source, types=False) == {"baselines"}


def test_every_room_has_a_floor():
    assert {room(module) for module in MODULES} == set(LEVEL)


def test_imports_point_downwards():
    upwards = [
        f"{one} imports {other}"
        for one, other in sorted(arrows())
        if not (LEVEL[room(other)] < LEVEL[room(one)] or {room(one), room(other)} <= LIBRARY)
    ]
    assert not upwards


def test_analysis_reads_store_and_algorithms():
    """Analysis reads the store and the list of algorithms, and nothing else."""
    others = {
        other
        for one, other in arrows()
        if room(one).startswith("analysis") and not room(other).startswith(("analysis", "experiments.store"))
    }
    assert others == {"baselines"}


def test_the_store_imports_how_files_are_written_and_nothing_else_of_the_project():
    assert {other for one, other in arrows() if room(one) == "experiments.store"} == {"ppo.files"}


def test_a_report_the_store_and_the_list_of_algorithms_need_no_torch():
    modules = ["baselines", "analysis.report", "analysis.compare"]
    modules += [module for module in MODULES if room(module) == "experiments.store"]
    code = f"import sys, {', '.join(modules)}; print('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_sections_stand_side_by_side():
    """What two share lies below them, in data or style, or makes a room of theirs."""
    sections = {module for module in MODULES if module.startswith("analysis.sections.")}
    assert not [(one, other) for one, other in arrows() if {one, other} <= sections]
    alone = {module for module in sections if room(module) == "analysis.sections"}
    assert not [(module, other) for module in alone for other in IMPORTS[module] & alone]


def test_no_two_files_import_each_other_not_even_around_a_corner():
    graph = {
        module: imported(path.read_text(), module not in PUBLIC, types=False) - {module}
        for module, path in MODULES.items()
    }
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which names them


def test_no_room_has_more_than_a_dozen_files():
    files = [room(module) for module, path in MODULES.items() if path.name != "__init__.py"]
    assert {name: files.count(name) for name in files if files.count(name) > LARGER.get(name, DOZEN)} == {}
