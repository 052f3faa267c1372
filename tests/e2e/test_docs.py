"""The code that the documents show is executed, on a stack started as they say."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.docs_support import Script, missing_output, scripts

SCRIPTS = scripts()
LONGEST = 250
"""Seconds that one of them may take where other tests keep the machine busy."""
PINNED = {
    *("README-quickstart", "python-harness", "temporal-letters", "operations-trouble", "rest-rest"),
    # Agents that run by schedules, from one run to the next, as far as their machine lets them.
    *("agents-config", "agents-executor", "agents-scheduler", "agents-handoffs", "agents-lock"),
    *("agents-http", "agents-together", "resources-acquire", "resources-check", "python-agents-run"),
    # Tasks of providers, and those who run them.
    *("tasks-once", "tasks-loop", "tasks-functions", "tasks-looping", "tasks-provider"),
    *("troubleshooting-tasks", "troubleshooting-runner", "troubleshooting-refused"),
}
"""What is shown of each thing that was promised."""


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


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A desk with a stack, started as the README says."""
    folder = tmp_path_factory.mktemp("desk")
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
        yield Desk(folder)
    finally:
        dev.send_signal(signal.SIGINT)
        dev.wait(timeout=150)


def wait_for_stack(folder: Path, dev: subprocess.Popen[bytes]) -> None:
    """Until the stack has said that it is up."""
    deadline = time.monotonic() + 150
    while "is up" not in (folder / "dev.log").read_text():
        assert dev.poll() is None, (folder / "dev.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.title)
def test_the_code_in_the_documents_works(desk, script):
    """If it failed, a newcomer who types what a document shows would get something else."""
    printed = desk.play(script)
    promised = missing_output(script, printed)
    assert promised is None, f"not printed: {promised!r}\n\n{printed}"


def test_the_documents_have_code():
    """If it failed, the mark of a block would be misspelt or gone, and what it shows not executed."""
    assert {script.title for script in SCRIPTS} >= PINNED
    for script in SCRIPTS:
        assert script.code, f"{script.title} promises an output of no code"
