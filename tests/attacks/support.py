"""What the attacks share: a commit to work on, a program that leaves a trace, and naive git as a control."""

import asyncio
import os
import pty
import shlex
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from shiftwork.repository import PrivateRepository, Snapshot, Workspace, WorkspacePool
from tests.unit.repository_support import commit_files, land

FILES = {"a": "1\n", "d/b": "2\n", "d/e/c": "3\n"}
"""What an attempt begins with."""

_PERSON = {
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_TERMINAL_PROMPT": "0",
    "TERM": "xterm",
}


@dataclass(slots=True)
class Ground:
    """One private repository for many attacks, each of which begins at the same commit."""

    folder: Path
    repo: PrivateRepository = field(init=False)
    pool: WorkspacePool = field(init=False)
    base: str = field(init=False)
    other: str = field(init=False)
    """A commit beside every candidate, to merge them with."""
    attacks: int = 0

    def __post_init__(self) -> None:
        self.repo = PrivateRepository(self.folder / "repository.git")
        self.pool = WorkspacePool(self.folder / "workspaces")

        async def begin() -> tuple[str, str]:
            await self.repo.create()
            base = await land(self.repo, FILES, 1)
            return base, await commit_files(self.repo, base, {"other": "4\n"}, 2)

        self.base, self.other = asyncio.run(begin())

    async def workspace(self) -> Workspace:
        """A workspace of the commit, with the `.git` that agents get."""
        self.attacks += 1
        workspace = await self.pool.acquire(f"a{self.attacks}")
        await workspace.prepare(self.repo, self.base, with_git=True)
        return workspace

    async def take(self, workspace: Workspace, **limits: object) -> Snapshot:
        """The snapshot of what an agent left."""
        return await self.repo.snapshot(workspace, self.base, workspace.name, **limits)

    async def content(self, commit: str) -> dict[str, tuple[str, bytes]]:
        """Mode and content of everything in a commit."""
        return {
            path: (entry.mode, await self.repo.read_blob(entry.oid) if entry.kind == "blob" else b"")
            for path, entry in (await self.repo.entries(commit)).items()
        }


class Canary:
    """A program that leaves a trace when it is run, and then fails."""

    def __init__(self, folder: Path) -> None:
        self.trace = folder / "ran"
        self.program = folder / "evil.sh"
        self.program.write_text(f"#!/bin/sh\n: > {self.trace}\nexit 1\n")
        self.program.chmod(0o755)

    @property
    def sang(self) -> bool:
        """Whether the program was run."""
        return self.trace.exists()


def plain_repository(folder: Path) -> Path:
    """The same files in a repository as a person would make it."""
    folder.mkdir()
    naive(folder, "git init -q -b main")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    naive(folder, "git add -A && git commit -qm first")
    return folder


def naive(folder: Path, command: str, *, timeout: float = 10, terminal: bool = False) -> str:
    """What a harness without defences does, git run in the folder; its output. `TimeoutError` if it hangs."""
    env = {"PATH": os.environ["PATH"], **_PERSON}
    master, slave = pty.openpty() if terminal else (-1, subprocess.PIPE)
    process = subprocess.Popen(
        ["sh", "-c", command],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        out, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        raise TimeoutError(shlex.quote(command)) from None
    finally:
        if terminal:
            os.close(slave)
            os.close(master)
    return (out or b"").decode("utf-8", "replace")


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return time.monotonic() - self._began
