"""Finding the real agent programs that tests run; a test says so when one is absent."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_BUNDLES = {"claude": ("claude_agent_sdk", "_bundled/claude"), "codex": ("codex_cli_bin", "bin/codex")}
"""Python packages that carry a program, and where in them it is."""


def find_program(name: str) -> str | None:
    """The program on `PATH`, in a Python package, or in `node_modules` under the repository's root."""
    for folder in (None, str(_ROOT / "node_modules" / ".bin")):
        if found := shutil.which(name, path=folder):
            return found
    return _bundled(name)


def find_program_or_skip(name: str) -> str:
    """The same; skips the test that asks if there is none."""
    found = find_program(name)
    if found is None:
        pytest.skip(f"the program {name!r} is not on PATH, in a Python package or in node_modules")
    return found


def _bundled(name: str) -> str | None:
    package, inside = _BUNDLES.get(name, ("", ""))
    spec = importlib.util.find_spec(package) if package else None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / inside
        if os.access(path, os.X_OK):
            return str(path)
    return None
