"""Which code the build id of a worker tells of."""

import ast
from importlib.util import find_spec
from pathlib import Path

from workflows.build import DECIDING

USED = {
    "activities.error_types",
    "shiftwork",
    "shiftwork.errors",
    "shiftwork.temporal",
    "shiftwork.text",
}
"""What decides nothing: names, how a text is made to fit, the folder of all."""


def imported(file: Path) -> set[str]:
    """The modules of ours that a file imports for more than the names of activities."""
    found = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
    return {
        node.module or ""
        for node in found
        if (node.module or "").startswith(("shiftwork", "activities.error")) and node.level == 0
    }


def test_the_build_id_tells_of_all_that_decides() -> None:
    """If it failed, workers that decide otherwise would have the same build id."""
    files = [file for folder in DECIDING for file in folder.rglob("*.py")]
    assert {file.parent for file in files} == {*DECIDING}
    specs = {name: find_spec(name) for file in files for name in imported(file) - USED}
    folders = {name: Path(str(spec.origin)).parent for name, spec in specs.items() if spec}
    assert folders
    assert {name for name, folder in folders.items() if folder not in DECIDING} == set()
