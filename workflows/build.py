"""Which code a worker has, as Temporal shows it beside each step that the worker took."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

from shiftwork import contracts, planning

DECIDING = (Path(__file__).parent, Path(planning.__file__).parent, Path(contracts.__file__).parent)
"""Where the code is by which workflows decide what is next; contracts have what they know, and defaults."""


@cache
def build_id() -> str:
    """The version, and a digest of the code by which workflows decide: alike where they go on alike.

    Temporal's library would read the code of all modules again for this, which takes longer than the rest of
    what a worker does at its start.
    """
    digest = hashlib.sha256()
    for folder in DECIDING:
        for file in sorted(folder.glob("*.py")):
            digest.update(f"{file.name}\n".encode() + file.read_bytes())
    return f"{version('shiftwork')}-{digest.hexdigest()[:12]}"
