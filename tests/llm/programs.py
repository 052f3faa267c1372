"""Finding the real agent programs that tests run; a test says so when one is absent."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

_NODE = Path(sys.prefix) / "node" / "node_modules" / ".bin"
"""Where `make agents` puts what npm has."""

_BUNDLES = {"claude": ("claude_agent_sdk", "_bundled/claude"), "codex": ("codex_cli_bin", "bin/codex")}
"""Python packages that carry a program, and where in them it is."""


def find_program(name: str) -> str | None:
    """The program on `PATH`, in a Python package, or among what `make agents` installs."""
    for folder in (None, str(_NODE)):
        if found := shutil.which(name, path=folder):
            return found
    return _bundled(name)


def find_program_or_skip(name: str) -> str:
    """The same; skips the test that asks if there is none."""
    found = find_program(name)
    if found is None:
        pytest.skip(f"no program {name!r} on PATH or in the environment: `make agents` gets it")
    return found


def _bundled(name: str) -> str | None:
    package, inside = _BUNDLES.get(name, ("", ""))
    spec = importlib.util.find_spec(package) if package else None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / inside
        if os.access(path, os.X_OK):
            return str(path)
    return None
