"""Whether a sandbox confines files on this machine, found by trying to break out of it."""

import asyncio
import contextlib
import os
import shutil
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from shiftwork.sandbox.base import Launch, Sandbox
from shiftwork.sandbox.confinement import Bind, Confinement

_SECONDS: Final = 60.0
"""What is found counts for as long as this process lives, so a machine that stands still for a while must not
look as one that has no sandbox."""
_ALLOWED, _FORBIDDEN = b"allowed", b"forbidden"

# What may be read must be readable, so that a program which can't do anything does not count as confined.
_SCRIPT: Final = 'cat "$1/file"; cat "$2"; { echo written >"$2"; } 2>/dev/null; :'

_MOVED: Final = Path("/workspace")
"""Where the given folder is seen in sandboxes that can move it."""


def holds(sandbox: Sandbox, user: int | None = None) -> bool:
    """Whether a program in it reads the folder it is given, and neither reads nor changes the file beside.

    Runs in a thread with an event loop of its own, so that it can be called anywhere.

    Args:
        user: the number of the user that it becomes, if we are root.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_holds, sandbox, user).result()


def _holds(sandbox: Sandbox, user: int | None) -> bool:
    folder = Path(tempfile.mkdtemp(prefix="shiftwork-probe-")).resolve()
    try:
        # Nothing but the sandbox keeps any user from both.
        folder.chmod(0o755)
        given, forbidden = folder / "given", folder / "forbidden"
        given.mkdir()
        given.chmod(0o755)
        for path, content in ((given / "file", _ALLOWED), (forbidden, _FORBIDDEN)):
            path.write_bytes(content)
            path.chmod(0o666)
        seen = _MOVED if sandbox.moves_binds else given
        confinement = Confinement((Bind(given, seen),), user=user)
        argv = ("/bin/sh", "-c", _SCRIPT, "sh", str(seen), str(forbidden))
        try:
            said = asyncio.run(_run(sandbox, argv, confinement))
        except (OSError, TimeoutError):
            return False
        return said == _ALLOWED and forbidden.read_bytes() == _FORBIDDEN
    finally:
        shutil.rmtree(folder)


async def _run(sandbox: Sandbox, argv: tuple[str, ...], confinement: Confinement) -> bytes:
    """What the program printed, once nothing of it lives; raises `TimeoutError`."""
    with contextlib.ExitStack() as always:
        reading, writing = os.pipe()
        always.callback(os.close, reading)
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        always.callback(os.close, null)
        try:
            held = sandbox.start(
                Launch(
                    argv=argv,
                    cwd=Path("/"),
                    env={"PATH": os.defpath},
                    marker=uuid.uuid4().hex,
                    stdout=writing,
                    stderr=null,
                    confinement=confinement,
                )
            )
        finally:
            os.close(writing)
        try:
            async with asyncio.timeout(_SECONDS):
                await asyncio.shield(held.ended)
        finally:
            held.end()
            await asyncio.wait({held.ended}, timeout=1)
            if not held.ended.done():
                await held.end_from_outside()
            await held.ended
            held.close()
        os.set_blocking(reading, False)
        try:
            return os.read(reading, 1000)
        except BlockingIOError:
            return b""
