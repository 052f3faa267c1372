"""Running a Python program of ours in the sandbox, with a job on its standard input."""

import asyncio
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import shiftwork
from shiftwork.contracts.sandbox import SandboxOptions
from shiftwork.environments.examples.coding import program
from shiftwork.environments.examples.coding.telling import Told, told_by
from shiftwork.runner.environment import base_python, child_environment
from shiftwork.runner.limits import Limits
from shiftwork.runner.spec import ProcessSpec
from shiftwork.runner.supervisor import run
from shiftwork.sandbox.base import Sandbox
from shiftwork.sandbox.cell import WORKSPACE, make_cell
from shiftwork.sandbox.choose import choose_sandbox
from shiftwork.sandbox.confinement import Bind
from shiftwork.sandbox.levels import default_minimum, minimum_in
from shiftwork.sandbox.user import choose_user, hand_over
from shiftwork.sandbox.visible import SYSTEM, installation_of

_KEEP: Final = 256_000
"""Bytes of output that are kept; a program that writes more has written too much."""

_GRACE: Final = 0.05
"""Seconds from TERM to KILL: there is nothing to save."""

_SPARE_MB: Final = 60
"""What an interpreter takes before it does anything, in memory and in address space."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one run may use.

    Attributes:
        seconds: of time, the interpreter's start included.
        memory_mb: in millions of bytes, beyond what the interpreter takes.
    """

    seconds: float = 10.0
    memory_mb: int = 256


def find_sandbox() -> Sandbox:
    """The strongest sandbox of this machine; the least for foreign code is one that confines files.

    `SHIFTWORK_SANDBOX_MINIMUM` can ask for more, not for less.

    Raises:
        SandboxTooWeak: there is none; the text says why, and what would help.
    """
    least = default_minimum()
    return choose_sandbox(max(least, minimum_in(os.environ) or least))


OURS: Final = Path(shiftwork.__file__).resolve().parent
"""Where the references are, which a solution may not import."""


async def run_job(
    sandbox: Sandbox, job: Mapping[str, Any], allowance: Allowance, hidden: Path = OURS
) -> Told:
    """Run `program.py` with a job, without a network, seeing nothing but the system and an empty folder.

    Args:
        hidden: a folder that is not seen even if it lies where the interpreter is installed; a sandbox that
            can't move binds can't hide it there.

    Raises:
        InvalidInput, Conflict, OSError: it could not be started.
    """
    path = Path(tempfile.mkdtemp(prefix="shiftwork-solution-")).resolve()
    try:
        spec = await asyncio.to_thread(_spec, sandbox, path, job, allowance, hidden)
        result = await run(spec, sandbox=sandbox)
        if result.lapsed:  # this process stood still, which says nothing of the program
            result = await run(spec, sandbox=sandbox)
    finally:
        path.rmdir()  # nothing can be written into it
    return told_by(result, most=_KEEP)


def _spec(
    sandbox: Sandbox, path: Path, job: Mapping[str, Any], allowance: Allowance, hidden: Path
) -> ProcessSpec:
    user = choose_user(path, namespaces=sandbox.own_network)
    if user is not None:
        hand_over(path, user)
    env = child_environment(os.environ, {})
    interpreter = [Bind(one, one) for one in installation_of(base_python(), env["PATH"])]
    seen = (*SYSTEM, *(bind.source for bind in interpreter))
    over = [Bind(path, hidden)] if any(hidden.is_relative_to(one.resolve()) for one in seen) else []
    folders = [*interpreter, *(over if sandbox.moves_binds else []), Bind(path, WORKSPACE)]
    cell = make_cell(sandbox, SandboxOptions(), folders, user=user)
    home = str(WORKSPACE if sandbox.moves_binds else path)
    memory_mb = allowance.memory_mb + _SPARE_MB
    return ProcessSpec(
        argv=(str(base_python()), "-I", "-B", "-X", "utf8", "-c", _program()),
        cwd=Path(home),
        env={**env, "HOME": home, "TMPDIR": home},
        stdin=json.dumps({**job, "memory": memory_mb * 1_000_000}).encode(),
        timeout=allowance.seconds,
        grace=_GRACE,
        keep_bytes=_KEEP,
        # The program limits itself to one process before it runs what is foreign; these hold if it can't.
        limits=Limits(cpu_seconds=allowance.seconds, memory_mb=memory_mb, processes=4),
        sealed_output=True,
        confinement=cell.confinement,
    )


@cache
def _program() -> str:
    return Path(program.__file__).read_text(encoding="utf-8")
