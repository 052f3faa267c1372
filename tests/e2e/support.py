"""A stack and workers of a test's own, as real processes that can be killed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import yaml

from client.api import Shiftwork
from shiftwork.contracts.project import AgentOptions, ProjectOptions
from shiftwork.settings import Settings

QUICK = {
    "SHIFTWORK_HEARTBEAT_TIMEOUT": "4",
    "SHIFTWORK_LEASE": "3",
    "SHIFTWORK_LEASE_RENEWAL": "0.5",
    "SHIFTWORK_STICKY_QUEUE": "1",
    "SHIFTWORK_WORKFLOW_TASK": "2",
    "SHIFTWORK_RETRY_INTERVAL": "0.1",
    "SHIFTWORK_GRACEFUL_SHUTDOWN": "10",
    "SHIFTWORK_MAX_CPU_PERCENT": "100",
}
"""Short waits, so that a test sees in seconds what takes tens of seconds by default; other tests keep the
processors busy, and nobody waits for that."""


STEADY = {"SHIFTWORK_HEARTBEAT_TIMEOUT": "60", "SHIFTWORK_LEASE": "50"}
"""Where no test waits until a worker counts as lost: else a machine that stands still for some seconds would
cost what runs then an attempt. A worker that was killed is noticed by the next one at once."""

PATIENCE = 150.0
"""Seconds that anything may take on a busy machine, or one that stands still for a while."""


def quick_environment(state: Path, **more: str) -> dict[str, str]:
    """The environment of a process that belongs to the stack in `state`."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("SHIFTWORK_", "TEMPORAL_"))}
    return {**inherited, "SHIFTWORK_STATE": str(state), **QUICK, **more}


def quick_settings(state: Path, **more: str) -> Settings:
    """The settings that such a process reads."""
    return Settings.from_environment({"SHIFTWORK_STATE": str(state), **QUICK, **more})


class WorkerProcess:
    """A worker in a process of its own."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the one that runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, without waiting until it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "worker"],
                env=self._environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL, and nothing else."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP: it does nothing until `resume`, and does not know that."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """SIGTERM, and wait; its exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        return process.wait(timeout=PATIENCE)


@contextmanager
def worker_process(environment: dict[str, str], log: Path) -> Iterator[WorkerProcess]:
    """A running worker that is ended with the block, whatever happens."""
    worker = WorkerProcess(environment, log)
    worker.start()
    try:
        yield worker
    finally:
        worker.kill()


def processes_of(state: Path, below: str = "projects") -> list[str]:
    """Processes that belong to attempts and verifications below this state folder, or to what is below it."""
    mark = str(state / below)
    found = []
    for process in psutil.process_iter():
        try:
            texts = [*process.cmdline(), process.cwd(), *process.environ().values(), mounts_of(process.pid)]
        except (psutil.Error, OSError):
            continue
        if any(mark in text for text in texts):
            found.append(f"{process.pid} {' '.join(process.cmdline())[:200]}")
    return found


def mounts_of(pid: int) -> str:
    """What a process sees where, on Linux: a confined one knows its folders by other names."""
    mounts = Path(f"/proc/{pid}/mountinfo")
    return mounts.read_text() if mounts.exists() else ""


async def assert_nothing_left(state: Path, project_id: str) -> None:
    """No process, workspace or run folder of a project outlives it."""
    async with asyncio.timeout(PATIENCE):
        while processes_of(state):  # noqa: ASYNC110 - nobody tells of their end
            await asyncio.sleep(0.1)
    folder = state / "projects" / project_id
    left = [
        str(p.relative_to(folder)) for name in ("workspaces", "runs") for p in (folder / name).glob("*/*")
    ]
    assert left == []


def write_cassette(path: Path, features: list[dict], sessions: dict[str, list]) -> Path:
    """Write a cassette file."""
    path.write_text(yaml.safe_dump({"plan": {"features": features}, "sessions": sessions}, sort_keys=False))
    return path


def simple_feature(name: str, *needs: str, command: str | None = None, **more) -> dict:
    """A feature that passes when the file of its name holds `done`."""
    return {
        "name": name,
        "description": f"The file {name}.txt says done.",
        "depends_on": list(needs),
        "verification_steps": [
            {"description": "it says so", "command": command or f"grep -qx done {name}.txt"}
        ],
        **more,
    }


def simple_attempt(name: str, *steps: dict) -> list[dict]:
    """An attempt that makes a simple feature pass, after other steps."""
    return [*steps, {"write": {"path": f"{name}.txt", "content": "done\n"}}]


def scripted(cassette: Path, **options) -> ProjectOptions:
    """Options of a project whose sessions play a cassette."""
    return ProjectOptions(agent=AgentOptions(settings={"cassette": str(cassette)}), **options)


def git(repository: str | Path, *arguments: str) -> str:
    """What git prints in a repository."""
    command = ["git", "-C", str(repository), "-c", "safe.directory=*", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


async def until(
    shiftwork: Shiftwork, project_id: str, kind: str, reference: str = "", seconds: float = PATIENCE
) -> dict:
    """Wait for an event of this kind (and reference); its data."""
    async with asyncio.timeout(seconds):
        while True:
            async for event in shiftwork.events(project_id):
                if event.kind == kind and reference in ("", event.reference):
                    return event.data
            await asyncio.sleep(0.05)
