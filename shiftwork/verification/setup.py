"""Set-up commands: prepare a checkout once, then copy what they made into every later one.

A result is kept under the digest of the command, the files it declares as inputs, the interpreter and the
platform, and of the commands before it. What a command made is what it declares as `outputs`, or else every
file that is new or changed after it ran.
"""

import asyncio
import hashlib
import json
import os
import platform
import shutil
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

from shiftwork.contracts.feature import check_path
from shiftwork.contracts.plan import SetupCommand
from shiftwork.errors import ShiftworkError
from shiftwork.repository.files import remove_tree
from shiftwork.text import tail
from shiftwork.verification.shell import Shell

_IN_THE_WAY = (FileExistsError, NotADirectoryError, RecursionError, shutil.Error, shutil.SpecialFileError)
"""What a checkout can hold where an output belongs, and what can't be copied: the session's doing."""

_MANIFEST = "manifest.json"
_FILES = "files"
_UNLANDED = "unlanded"
_MOST_BYTES = 20_000_000_000


class SetupFailed(ShiftworkError):  # noqa: N818 - the tree names what happened
    """A set-up command failed; the text names it and ends with what it printed."""


class SetupCache:
    """Results of set-up commands in `folder`, one subfolder per digest; safe to share between workers."""

    def __init__(self, folder: Path, shell: Shell) -> None:
        self._folder = folder
        self._shell = shell

    async def prepare(
        self, commands: Sequence[SetupCommand], checkout: Path, scratch: Path, *, unlanded: str = ""
    ) -> tuple[str, ...]:
        """Apply every command to `checkout`, from the cache where possible.

        Args:
            unlanded: the commit that the checkout is of, if that is not on main. What a command makes there
                may depend on more than its declared inputs, so it is kept for this commit alone: nobody's
                work may furnish the verification of another's.

        Returns:
            The paths that set-up made, relative to the checkout: they never become part of a snapshot.

        Raises:
            SetupFailed: a command failed or ran too long; nothing of it is kept.
        """
        made: list[str] = []
        previous = ""
        for command in commands:
            previous = await asyncio.to_thread(_digest, command, checkout, previous)
            kept = self._folder / previous
            if unlanded and not (kept / _MANIFEST).is_file():
                kept = self._folder / _UNLANDED / unlanded / previous
            try:
                if not (kept / _MANIFEST).is_file():
                    await self._run(command, checkout, scratch, kept)
                else:
                    await asyncio.to_thread(_restore, kept, checkout)
            except _IN_THE_WAY as error:
                raise SetupFailed(f"what {command.run!r} makes can't be kept or laid out: {error}") from error
            made += _manifest(kept)
        return tuple(made)

    async def forget(self, unlanded: str) -> None:
        """Remove what was kept for a commit that is not on main."""
        await asyncio.to_thread(remove_tree, self._folder / _UNLANDED / unlanded, ignore_errors=True)

    async def _run(self, command: SetupCommand, checkout: Path, scratch: Path, kept: Path) -> None:
        # Before it is looked at: a new owner changes what a file looks like.
        await self._shell.take_over(checkout)
        before = await asyncio.to_thread(_stamps, checkout)
        result = await self._shell.run(command.run, cwd=checkout, scratch=scratch, timeout=command.timeout)
        if result.exit_status != 0:
            why = (
                f"took longer than {command.timeout:g} s"
                if result.timed_out
                else f"exited {result.exit_status}"
            )
            output = tail(result.stderr_tail or result.stdout_tail, 2000)
            raise SetupFailed(f"set-up command {command.run!r} {why}: {output}")
        paths: Sequence[str] = command.outputs
        if not paths:
            paths = await asyncio.to_thread(_made, checkout, before)
        await asyncio.to_thread(self._keep, paths, checkout, kept)

    def _keep(self, paths: Sequence[str], checkout: Path, kept: Path) -> None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(mkdtemp(dir=self._folder, prefix="new-"))
        try:
            present = [path for path in paths if os.path.lexists(_inside(checkout, path))]
            _check_size(checkout, present)
            for path in present:
                _copy(checkout / path, fresh / _FILES / path)
            (fresh / _MANIFEST).write_text(json.dumps(present))
            with suppress(OSError):  # another worker kept the same result first
                fresh.rename(kept)
        finally:
            remove_tree(fresh, ignore_errors=True)


def _manifest(kept: Path) -> list[str]:
    """What a command made. Never by lines: a name may hold line breaks."""
    return [str(path) for path in json.loads((kept / _MANIFEST).read_text())]


def _digest(command: SetupCommand, checkout: Path, previous: str) -> str:
    digest = hashlib.sha256()
    system = f"{platform.platform()} {sys.base_prefix} {sys.version}"
    for part in (previous, command.run, *command.outputs, system):
        digest.update(part.encode() + b"\0")
    for path in command.inputs:
        digest.update(path.encode() + b"\0" + _content(checkout / path) + b"\0")
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    """The digest of a regular file; anything else counts as missing. Never follows a link, never waits."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b"missing"
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return b"missing"
        return hashlib.file_digest(file, "sha256").digest()


def _walk(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not (root == str(folder) and name == ".git")]
        for name in (*folders, *files):
            path = Path(root, name)
            yield str(path.relative_to(folder)), path.lstat()


def _stamps(folder: Path) -> dict[str, tuple[int, int, int]]:
    return {
        path: (s.st_ino, s.st_size, s.st_ctime_ns) for path, s in _walk(folder) if not stat.S_ISDIR(s.st_mode)
    } | {path: (s.st_ino, 0, 0) for path, s in _walk(folder) if stat.S_ISDIR(s.st_mode)}


def _made(checkout: Path, before: dict[str, tuple[int, int, int]]) -> list[str]:
    """The topmost paths that are new or changed."""
    made: list[str] = []
    after = _stamps(checkout)
    for path in sorted(after):
        below_one = any(path.startswith(f"{parent}/") for parent in made)
        if not below_one and after[path] != before.get(path):
            made.append(path)
    return made


def _restore(kept: Path, checkout: Path) -> None:
    for path in _manifest(kept):
        target = _inside(checkout, path)
        if target.is_dir() and not target.is_symlink():
            remove_tree(target)
        elif os.path.lexists(target):
            target.unlink()
        _copy(kept / _FILES / path, target)


def _check_size(checkout: Path, paths: Sequence[str]) -> None:
    """Holes of sparse files become real in a copy."""
    total = 0
    for path in paths:
        total += (checkout / path).lstat().st_size
        total += sum(found.st_size for _, found in _walk(checkout / path))
    if total > _MOST_BYTES:
        raise SetupFailed(f"what set-up made has {total / 1e9:.0f} GB, more than {_MOST_BYTES / 1e9:.0f}")


def _inside(checkout: Path, path: str) -> Path:
    """Where the path is in the checkout, which a symbolic link that a session committed must not change."""
    try:
        check_path(path)
    except ValueError as error:
        raise SetupFailed(f"set-up output {path!r} can't be kept: {error}") from error
    place = checkout
    for part in Path(path).parts[:-1]:
        place /= part
        if place.is_symlink():
            link = place.relative_to(checkout)
            raise SetupFailed(f"set-up output {path!r} leads through the symbolic link {str(link)!r}")
    return checkout / path


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target, follow_symlinks=False)
