"""The little that a project manager wants of git: make a repository, read its log."""

import asyncio
import os
from datetime import datetime
from pathlib import Path
from typing import Protocol

from shiftwork.contracts.base import Message
from shiftwork.errors import Conflict, RepositoryError
from shiftwork.store.rows import ProjectRow

# Reading a log runs nothing that the repository's own configuration names.
_SAFE = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "log.showSignature=false")
_FORMAT = "%H%x1f%an%x1f%aI%x1f%s%x1e"


class GitCommit(Message):
    """One line of a log."""

    commit: str
    author: str
    at: datetime
    subject: str


class ProjectGit(Protocol):
    """What a project manager asks of git."""

    async def init(self, folder: Path) -> None:
        """Make the folder a repository, unless it is one."""

    async def log(self, project: ProjectRow, limit: int) -> list[GitCommit]:
        """The newest commits of the project, newest first; none before the first."""


class UserGit:
    """Git on the user's own repository, by the program `git`."""

    async def init(self, folder: Path) -> None:
        """Make the folder, and in it a repository with the branch `main`, unless it is one."""
        if (folder / ".git").exists() or (folder / "HEAD").is_file():
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RepositoryError(
                f"The folder {str(folder)!r} can't be made: {error.strerror}; choose another."
            ) from error
        await _git("init", "--quiet", "--initial-branch", "main", "--", str(folder))

    async def log(self, project: ProjectRow, limit: int) -> list[GitCommit]:
        """As `ProjectGit.log`; raises `Conflict` for a project without a repository."""
        where = project.repository or project.working_directory
        if where is None:
            raise Conflict(f"Project {project.name!r} has no repository; create it with a working directory.")
        options = (f"--max-count={limit}", f"--format={_FORMAT}", "--all" if project.branch is None else "")
        command = ("log", *(option for option in options if option))
        branch = () if project.branch is None else (project.branch,)
        if not await _git("-C", where, "for-each-ref", "--count=1"):
            return []
        text = await _git("-C", where, *command, "--end-of-options", *branch, "--")
        records = (record.strip("\n").split("\x1f") for record in text.split("\x1e") if record.strip())
        return [
            GitCommit.model_validate(dict(zip(GitCommit.model_fields, fields, strict=True)))
            for fields in records
        ]


async def _git(*arguments: str) -> str:
    # Variables like GIT_DIR, set where a hook runs us, would make git look at another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat", "LC_ALL": "C.UTF-8"}
    try:
        process = await asyncio.create_subprocess_exec(
            "git",
            *_SAFE,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )
    except FileNotFoundError as error:
        raise RepositoryError("git is not installed; install it.") from error
    output, complaint = await process.communicate()
    if process.returncode != 0:
        reason = complaint.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise RepositoryError(f"git refused: {reason[-1]}.")
    return output.decode("utf-8", "replace")
