"""Finding an agent's program, and asking for its version."""

import asyncio
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from shiftwork.errors import Conflict, InvalidInput, SandboxTooWeak
from shiftwork.runner.limits import Limits
from shiftwork.text import one_line, truncate

if TYPE_CHECKING:
    from shiftwork.runner.spec import ProcessResult
    from shiftwork.sandbox.base import Sandbox
    from shiftwork.sandbox.levels import Level

NOT_ASKED = "not asked"
"""Instead of a version, where no sandbox reaches the minimum: then no agent's program is run at all."""

_SECONDS = 20.0
"""How long a version may take: less than all of `doctor`'s look at the backends."""

_LIMITS = Limits(memory_mb=2_000, processes=100, file_size_mb=100, disk_mb=200)
"""What telling a version may take."""

_BYTES = 4_000
_CHARACTERS = 200


def find_program(name: str, path: str | None = None) -> str | None:
    """The program of this name on `path` (None: that of the process), or at it; None if there is none."""
    try:
        return shutil.which(str(Path(name).expanduser()) if name.startswith("~") else name, path=path)
    except (RuntimeError, ValueError):  # no such user, or a NUL
        return None


def ask_version(program: str, seconds: float = _SECONDS) -> tuple[str | None, str | None]:
    """What `PROGRAM --version` says, on one line, or the sentence that says why it says nothing.

    It runs as agents do: in the sandbox of this machine, under root as another user, within limits; without a
    network, without keys, with a home of its own that is thrown away. However it answers, nothing of it lives
    on, and only the beginning is read.
    """
    from shiftwork.sandbox.levels import minimum_in  # noqa: PLC0415 - takes time, seldom used

    try:
        least = minimum_in(os.environ)
    except InvalidInput as error:
        return None, str(error)
    try:
        # A thread, because whoever asks may be within an event loop.
        with ThreadPoolExecutor(1) as thread:
            asked = thread.submit(_ask, os.path.abspath(program), least, seconds)  # noqa: PTH100 - keeps links
            said, wrong = asked.result()
    except SandboxTooWeak:
        return NOT_ASKED, None
    except Conflict as error:
        return None, str(error)
    except (InvalidInput, OSError, TimeoutError) as error:
        return None, f"The program {program!r} does not run ({one_line(str(error))}); install it again."
    version = truncate(one_line(said.decode("utf-8", "replace")), _CHARACTERS)
    if version and not wrong:
        return version, None
    return (
        None,
        f"The program {program!r} does not tell its version ({wrong or 'silence'}); install it again.",
    )


def _ask(program: str, least: "Level | None", seconds: float) -> tuple[bytes, str]:
    """The beginning of its output, and what is wrong with it; '' if nothing is."""
    from shiftwork.sandbox.choose import choose_sandbox, of_one_thread  # noqa: PLC0415 - takes time, seldom used

    sandbox = of_one_thread(choose_sandbox(least))
    with tempfile.TemporaryDirectory(prefix="shiftwork-version-", ignore_cleanup_errors=True) as folder:
        result, read = asyncio.run(_run(sandbox, program, Path(folder).resolve(), seconds))
    if read >= _BYTES:
        return b"", "it says far too much"
    if result.timed_out:
        return b"", f"it does not end within {seconds:g} seconds"
    if result.breach:
        return b"", result.breach.rstrip(".")
    return result.stdout.tail, f"it ends with status {result.exit_status}" if result.exit_status else ""


async def _run(sandbox: "Sandbox", program: str, folder: Path, seconds: float) -> "tuple[ProcessResult, int]":
    """How it ended, and how much it said until then."""
    from shiftwork.runner.environment import child_environment  # noqa: PLC0415 - imports the backends
    from shiftwork.runner.spec import ProcessSpec  # noqa: PLC0415 - as above
    from shiftwork.runner.supervisor import run  # noqa: PLC0415 - as above
    from shiftwork.sandbox.cell import HOME  # noqa: PLC0415 - as above
    from shiftwork.sandbox.confinement import Bind, Confinement  # noqa: PLC0415 - as above
    from shiftwork.sandbox.levels import level_named  # noqa: PLC0415 - as above
    from shiftwork.sandbox.user import choose_user, hand_over  # noqa: PLC0415 - as above
    from shiftwork.sandbox.visible import installation_of  # noqa: PLC0415 - as above

    confined = "files" in level_named(sandbox.level).confines
    home = HOME if confined and sandbox.moves_binds else folder
    env = child_environment(os.environ, {"HOME": str(home), "TMPDIR": str(home)})
    binds = (
        *(Bind(path, path) for path in installation_of(Path(program), env["PATH"])),
        Bind(folder, home, writable=True),
    )
    user = choose_user(Path(program), namespaces=sandbox.own_network) if confined else None
    if user is not None:
        hand_over(folder, user)
    enough, read = asyncio.Event(), 0

    def count(_: str, line: bytes) -> None:
        nonlocal read
        read += len(line) + 1
        if read >= _BYTES:
            enough.set()

    spec = ProcessSpec(
        argv=(program, "--version"),
        cwd=home,
        env=env,
        limits=_LIMITS,
        timeout=seconds,
        grace=0.0,
        keep_bytes=_BYTES,
        line_bytes=_BYTES,
        confinement=Confinement(binds, user=user) if confined else None,
    )
    return await run(spec, sandbox=sandbox, on_line=count, stop=enough), read
