"""A desk at which what the documents show is typed, on a stack started as they say."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.unit.docs_support import Script, missing_output, scripts

SCRIPTS = scripts()
OF_AGENTS = [
    script
    for script in SCRIPTS
    if script.document.stem
    in ("agents", "data", "environments", "python-agents", "resources", "tasks", "troubleshooting")
]
"""Those of agents, their tasks and the environments they play: a file of tests of their own."""
LONGEST = 250
"""Seconds that one of them may take where other tests keep the machine busy."""


def environment() -> dict[str, str]:
    """What a reader's shell has after `make install`, and nothing of the tests' own settings."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("SHIFTWORK_", "TEMPORAL_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{inherited.get('PATH', os.defpath)}"
    identity = {"GIT_AUTHOR_NAME": "Reader", "GIT_AUTHOR_EMAIL": "reader@example.org"}
    committer = {name.replace("AUTHOR", "COMMITTER"): value for name, value in identity.items()}
    return {**inherited, **identity, **committer, "PATH": path, "PYTHONWARNINGS": "default"}


class Desk:
    """A folder in which `shiftwork dev` runs; commands are typed there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._set_up: set[Path] = set()
        # The one thing of the repository that a document names by its path.
        (folder / ".venv").symlink_to(sys.prefix)

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator["Desk"]:
        """A desk with a stack, started as the README says."""
        with (folder / "dev.log").open("wb") as log:
            dev = subprocess.Popen(
                ["shiftwork", "dev"],
                cwd=folder,
                env=environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_for_stack(folder, dev)
            yield cls(folder)
        finally:
            dev.send_signal(signal.SIGINT)
            dev.wait(timeout=150)

    def keeps(self, script: Script) -> None:
        """Fail unless a script does what its document promises."""
        printed = self.play(script)
        promised = missing_output(script, printed)
        assert promised is None, f"not printed: {promised!r}\n\n{printed}"

    def play(self, script: Script) -> str:
        """Execute a script, after its document's `setup`; what it printed."""
        for first in SCRIPTS:
            if first.name == "setup" and first.document == script.document not in self._set_up:
                self._set_up.add(script.document)
                self._execute(first)
        return "" if script.name == "setup" else self._execute(script)

    def _execute(self, script: Script) -> str:
        file = self.folder / f"{script.title}.{script.language}"
        file.write_text("set -euo pipefail\n" + script.code if script.language == "sh" else script.code)
        argv = {"sh": ["bash", str(file)], "python": [sys.executable, "-P", str(file)]}[script.language]
        done = subprocess.run(
            argv,
            cwd=self.folder,
            env=environment(),
            text=True,
            timeout=LONGEST,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


def wait_for_stack(folder: Path, dev: subprocess.Popen[bytes]) -> None:
    """Until the stack has said that it is up."""
    deadline = time.monotonic() + 150
    while "is up" not in (folder / "dev.log").read_text():
        assert dev.poll() is None, (folder / "dev.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
