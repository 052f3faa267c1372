"""Running git: one process at a time, without the configuration, hooks or prompts of anybody.

`Git` runs the plumbing of one repository. Private repositories get `strict_environment()`; commands that
must see a person's credentials or filters get `people_environment()`, still without hooks.
"""

import asyncio
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from shiftwork.errors import RepositoryError
from shiftwork.repository.personal import advice, personal_environment
from shiftwork.text import one_line

OLDEST_GIT = (2, 38)
"""`git merge-tree --write-tree`, and `safe.directory` on the command line, exist since this version."""

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
NO_COMMIT = "0" * 40

TIMEOUT = 120.0
"""Seconds a git command may take; none of ours takes more than a few."""

_ALWAYS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "safe.directory": "*",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "core.quotePath": "false",
    "core.alternateRefsCommand": "true",
    "fetch.writeCommitGraph": "false",
    "submodule.recurse": "false",
    "advice.detachedHead": "false",
}
_STRICT = {
    # Attributes come from nowhere, so that a merge depends on its two sides alone.
    "attr.tree": EMPTY_TREE,
    "core.attributesFile": os.devnull,
    "core.excludesFile": os.devnull,
    "merge.renames": "true",
    "merge.directoryRenames": "conflict",
    # What a ref names must be on disk before the ref is.
    "core.fsync": "committed,loose-object",
    "core.fsyncMethod": "batch",
    "core.logAllRefUpdates": "false",
    # A bare repository reads main's `.mailmap`, which agents write: it would rename who committed what.
    "log.mailmap": "false",
}


@dataclass(frozen=True, slots=True)
class Result:
    """What a git command left: its exit status and its two outputs."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def last_line(self) -> str:
        """The line that says why it failed, and what may help."""
        said = self.stderr.decode("utf-8", "replace")
        lines = [line for line in said.splitlines() if line.strip()]
        telling = [line for line in lines if line.startswith(("fatal:", "error:"))]
        return one_line((telling or lines or [f"exit status {self.status}"])[-1]) + advice(said)


@dataclass(frozen=True, slots=True)
class Git:
    """The git command line on one repository.

    Attributes:
        where: the repository: a git folder, or a work tree if `work_tree`.
        environment: everything git sees of the environment.
        work_tree: whether `where` is a folder in which git finds its repository by itself.
    """

    where: Path
    environment: Mapping[str, str]
    work_tree: bool = False

    @classmethod
    def private(cls, git_dir: Path) -> "Git":
        """A repository of ours, which nobody else configures."""
        return cls(git_dir, strict_environment())

    async def call(
        self,
        *args: str,
        input: bytes | None = None,  # noqa: A002 - named as in subprocess
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
        hold: Sequence[int] = (),
        limit: int | None = None,
    ) -> Result:
        """Run one command to its end, whatever its exit status.

        Args:
            args: the command and its arguments.
            input: what it reads; or `stdin`, an open file to read from.
            stdin: see `input`.
            stdout: an open file that takes its output instead of the result.
            env: additions to the environment.
            timeout: seconds after which the command and its children are killed.
            hold: file descriptors it inherits: a lock it holds stays held until it has ended, even if we die.
            limit: bytes of output after which it is ended, and the rest dropped.

        Raises:
            RepositoryError: git is not installed, or ran into the timeout.
        """
        where = ("-C", str(self.where)) if self.work_tree else (f"--git-dir={self.where}",)
        source: int | IO[bytes] = asyncio.subprocess.DEVNULL
        if stdin is not None:
            source = stdin
        elif input is not None:
            source = asyncio.subprocess.PIPE
        with _git_missing():
            process = await asyncio.create_subprocess_exec(
                "git",
                *where,
                *args,
                stdin=source,
                stdout=asyncio.subprocess.PIPE if stdout is None else stdout,
                stderr=asyncio.subprocess.PIPE,
                env={**self.environment, **(env or {})},
                pass_fds=hold,
                start_new_session=True,  # a Ctrl-C must not end git between two of its steps
            )
        try:
            async with asyncio.timeout(timeout):
                if limit is not None:
                    return await _bounded(process, limit)
                out, err = await process.communicate(input)
        except TimeoutError:
            raise RepositoryError(
                f"git {args[0]} in {str(self.where)!r} took longer than {timeout:g} seconds and was ended."
            ) from None
        finally:
            await _end(process)
        return Result(_status(process), out or b"", err or b"")

    async def run(
        self,
        *args: str,
        input: bytes | None = None,  # noqa: A002
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
        hold: Sequence[int] = (),
    ) -> bytes:
        """The output of a command that must succeed; raises `RepositoryError` with git's reason."""
        result = await self.call(
            *args, input=input, stdin=stdin, stdout=stdout, env=env, timeout=timeout, hold=hold
        )
        if result.status:
            raise self.failure(args[0], result)
        return result.stdout

    async def text(self, *args: str, timeout: float = TIMEOUT) -> str:
        """The output of a command that must succeed, without white space around it."""
        return os.fsdecode((await self.run(*args, timeout=timeout)).strip())

    def failure(self, command: str, result: Result) -> RepositoryError:
        """The error that says why a command failed."""
        return RepositoryError(f"git {command} failed in {str(self.where)!r}: {result.last_line}")


def strict_environment() -> dict[str, str]:
    """Nothing but what git needs to run: no configuration, no prompts, no network."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_ALLOW_PROTOCOL": "file",
        "GIT_ASKPASS": "false",
        "GIT_SSH_COMMAND": "false",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        **_configuration(_ALWAYS | _STRICT),
    }


def people_environment() -> dict[str, str]:
    """A person's own configuration and what it needs (credentials, filters), without hooks and prompts."""
    return {
        **personal_environment(os.environ),
        "LC_ALL": "C",
        "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
        "GIT_ASKPASS": "false",
        "SSH_ASKPASS_REQUIRE": "never",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        **_configuration(_ALWAYS),
    }


async def check_git() -> None:
    """Raise `RepositoryError` unless a git of at least `OLDEST_GIT` is installed."""
    with _git_missing():
        process = await asyncio.create_subprocess_exec(
            "git", "--version", stdout=asyncio.subprocess.PIPE, env=strict_environment()
        )
    out, _ = await process.communicate()
    found = out.decode("utf-8", "replace").strip()
    numbers = [int(part) for part in found.removeprefix("git version ").split(".")[:2] if part.isdigit()]
    if tuple(numbers) < OLDEST_GIT:
        oldest = ".".join(map(str, OLDEST_GIT))
        raise RepositoryError(f"{found!r} is too old: install git {oldest} or newer and start again.")


def _configuration(settings: Mapping[str, str]) -> dict[str, str]:
    pairs = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        pairs[f"GIT_CONFIG_KEY_{number}"] = key
        pairs[f"GIT_CONFIG_VALUE_{number}"] = value
    return pairs


@contextmanager
def _git_missing() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        oldest = ".".join(map(str, OLDEST_GIT))
        raise RepositoryError(f"git is not installed: install git {oldest} or newer.") from None


async def _bounded(process: asyncio.subprocess.Process, limit: int) -> Result:
    assert process.stdout is not None
    assert process.stderr is not None
    kept = bytearray()
    while len(kept) < limit and (chunk := await process.stdout.read(65_536)):
        kept += chunk
    if len(kept) >= limit:
        _kill(process)
        # The pipe is read to its end: asyncio never notices the end of a process whose reader is paused.
        while await process.stdout.read(65_536):
            pass
    err = await process.stderr.read()
    await process.wait()
    status = 0 if len(kept) >= limit else _status(process)
    return Result(status, bytes(kept[:limit]), err)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        _kill(process)
        for pipe in (process.stdout, process.stderr):
            while pipe is not None and await pipe.read(65_536):
                pass
        await process.wait()


def _kill(process: asyncio.subprocess.Process) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _status(process: asyncio.subprocess.Process) -> int:
    assert process.returncode is not None
    return process.returncode
