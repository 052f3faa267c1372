"""What the process says: one event a line on its standard output, and nothing else."""

import json
import os
import sys
from typing import Any


class Voice:
    """Says events on a stream that no library writes to."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def say(self, kind: str, **facts: Any) -> None:
        """Say one event, at once; absent facts (None) are left out."""
        told = {"kind": kind} | {key: value for key, value in facts.items() if value is not None}
        line = memoryview((json.dumps(told) + "\n").encode())
        while line:
            line = line[os.write(self._fd, line) :]


def take_standard_output() -> Voice:
    """Keep standard output for events; whatever else prints there from now on goes to standard error.

    Programs that are started inherit standard error in its place.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    return Voice(kept)
