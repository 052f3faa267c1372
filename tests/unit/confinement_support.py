"""Starting confined programs, and the world outside that they try to reach."""

import asyncio
import contextlib
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from process_support import token

from shiftwork.runner.limits import Limits
from shiftwork.sandbox.base import Ended, Launch
from shiftwork.sandbox.choose import works
from shiftwork.sandbox.confinement import Bind, Confinement, Network
from shiftwork.sandbox.namespace import BubblewrapNamespace, find_bubblewrap
from shiftwork.sandbox.seccomp import seccomp_filter
from shiftwork.sandbox.user import choose_user, hand_over

PATH = "/usr/local/bin:/usr/bin:/bin"
CANARY = "canary-in-a-coal-mine"
ESCAPED = b"ESCAPED"
SYSTEM_PYTHON = next((p for p in ("/usr/bin/python3", "/usr/local/bin/python3") if os.access(p, os.X_OK)), "")


def bubblewrap() -> BubblewrapNamespace | None:
    """What works here, if anything does."""
    if sys.platform != "linux" or seccomp_filter(platform.machine()) is None:
        return None
    return next((sandbox for sandbox in find_bubblewrap() if works(sandbox)), None)


@dataclass
class Outcome:
    """What came of a program."""

    ended: Ended
    output: bytes

    @property
    def code(self) -> int:
        return self.ended.code


@dataclass
class Outside:
    """A workspace, and what lies around it that is none of a program's business.

    `folder` can be read and written by every user of this machine, so that only a sandbox keeps one out.
    """

    folder: Path
    workspace: Path
    tools: Path
    user: int | None
    env: dict[str, str] = field(default_factory=dict)

    def confinement(self, **more) -> Confinement:
        binds = (Bind(self.workspace, Path("/workspace"), writable=True), Bind(self.tools, Path("/tools")))
        return Confinement(**{"binds": binds, "user": self.user, **more})


@contextlib.contextmanager
def outside_world() -> Iterator[Outside]:
    """Files, a process, and listeners of three kinds, all within anybody's reach."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sw-outside-"))).resolve()
        folder.chmod(0o777)
        for name in ("secret", "home/.ssh/id_ed25519"):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(CANARY)
            path.chmod(0o666)
        workspace, tools = folder / "workspace", folder / "tools"
        workspace.mkdir()
        tools.mkdir()
        shutil.copy("/usr/bin/id", tools / "id")
        (tools / "id").chmod(0o4755)
        user = choose_user(workspace)
        if user is not None:
            hand_over(workspace, user)
        word = token()
        sleeper = subprocess.Popen(["sleep", word])
        stack.callback(sleeper.wait)
        stack.callback(sleeper.kill)
        env = {"OUTSIDE": str(folder), "WORD": word, "SLEEPER": str(sleeper.pid), "CANARY": CANARY}
        env |= _listeners(folder, stack)
        yield Outside(folder, workspace, tools, user, env)


def _listeners(folder: Path, stack: contextlib.ExitStack) -> dict[str, str]:
    abstract = f"sw-{uuid.uuid4().hex}"
    by_tcp = socket.create_server(("127.0.0.1", 0))
    by_path, by_name = (socket.socket(socket.AF_UNIX) for _ in range(2))
    by_path.bind(str(folder / "socket"))
    (folder / "socket").chmod(0o777)
    by_name.bind("\0" + abstract)
    for listener in (by_tcp, by_path, by_name):
        listener.listen()
        thread = threading.Thread(target=_greet, args=(listener,))
        thread.start()
        stack.callback(thread.join)
        stack.callback(listener.close)
        stack.callback(_shut, listener)
    return {"PORT": str(by_tcp.getsockname()[1]), "ABSTRACT": abstract}


def _greet(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, contextlib.suppress(ConnectionError):
            connection.sendall(b"hello")


def _shut(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)


async def start(
    sandbox: BubblewrapNamespace,
    argv: tuple[str, ...],
    *,
    confinement: Confinement | None,
    cwd: Path = Path("/workspace"),
    env: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    door: int | None = None,
    seconds: float = 100,
) -> Outcome:
    """Run a program to its end, and read what it printed (a pipe's worth at most)."""
    reading, writing = os.pipe()
    try:
        try:
            held = sandbox.start(
                Launch(
                    argv=argv,
                    cwd=cwd,
                    env={"PATH": PATH, "HOME": "/home/agent", **(env or {})},
                    marker=uuid.uuid4().hex,
                    stdout=writing,
                    stderr=writing,
                    limits=limits or Limits(),
                    confinement=confinement,
                    door=door,
                )
            )
        finally:
            os.close(writing)
        try:
            async with asyncio.timeout(seconds):
                ended = await asyncio.shield(held.ended)
        finally:
            held.end()
            await held.ended
            held.close()
        return Outcome(ended, os.read(reading, 65536))
    finally:
        os.close(reading)


def confined_to(outside: Outside, network: Network = Network.NONE, **more) -> Confinement:
    """The usual confinement of these tests."""
    return outside.confinement(network=network, **more)
