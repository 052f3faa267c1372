"""A place with a secret in it, and programs that are confined to the rest of it."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from shiftwork.runner.spec import ProcessSpec
from shiftwork.runner.supervisor import run
from shiftwork.sandbox.confinement import Bind, Confinement

PYTHON = os.path.realpath(sys.executable)


@contextlib.contextmanager
def open_place() -> Iterator[Path]:
    """A folder that every user can reach, with what may be written, what may be read, and a secret."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o777)
        for one in ("work", "given", "private"):
            (folder / one).mkdir()
            (folder / one).chmod(0o777)
            (folder / one / "file").write_text(one)
            (folder / one / "file").chmod(0o666)
        yield folder


def confinement(place: Path, **more) -> Confinement:
    binds = (
        Bind(place / "work", place / "work", writable=True),
        Bind(place / "given", place / "given"),
        Bind(Path(sys.base_prefix), Path(sys.base_prefix)),
    )
    return Confinement(binds, **more)


def spec(place: Path, *argv: str, held: Confinement | None, env: dict[str, str] | None = None) -> ProcessSpec:
    return ProcessSpec(
        argv, place / "work", {"PATH": os.defpath, **(env or {})}, confinement=held, timeout=20
    )


async def attack(sandbox, place: Path, code: str, held: Confinement | None, *arguments: str) -> bytes:
    """What a Python program says that tries something; the name of the error if it fails."""
    body = "".join(f"    {line}\n" for line in code.splitlines())
    program = f"import ctypes, os, signal, socket, sys, time\ntry:\n{body}    print('done')\n"
    program += "except OSError as error:\n    print(type(error).__name__, error.errno)\n"
    argv = (PYTHON, "-S", "-c", program, str(place), *arguments)
    result = await run(spec(place, *argv, held=held), sandbox=sandbox)
    assert result.exit_status == 0, result.stderr_tail
    return result.stdout_tail.strip()
