"""What confinement adds to a process, and what survives its worker's sudden end.

Bare, held together and confined spawns of /bin/true alternate in one run, so that a busy moment of the
machine meets them alike. The goals: a confined process costs at most 6 ms more at the median than a bare one,
and of 400 workers killed in the first 20 ms of an agent's life none leaves a process. On a busy machine
root keeps what else runs out of the times: `chrt -f 20 python benchmarks/bench_confinement.py`.
"""

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from shiftwork.sandbox.base import Launch, Sandbox
from shiftwork.sandbox.choose import works
from shiftwork.sandbox.confinement import Bind, Confinement, Network
from shiftwork.sandbox.door import open_door, receive_listener
from shiftwork.sandbox.namespace import find_bubblewrap
from shiftwork.sandbox.user import choose_user, hand_over

ROUNDS = 200
KILLS = 400
FIRST_MS = 20
SEED = 7

# One sleeper, one in a session of its own, both deaf to TERM, which bear a word to be found by.
AGENT = 'trap \'\' TERM; (trap \'\' TERM; exec sleep "$1") & setsid sleep "$1" & exec sleep "$1"'


@dataclass(frozen=True)
class Place:
    """A workspace and the confinement to it."""

    folder: Path
    user: int | None

    def confinement(self, network: Network = Network.NONE) -> Confinement:
        """The workspace alone, writable."""
        return Confinement((Bind(self.folder, Path("/workspace"), writable=True),), network, self.user)


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """A workspace that belongs to the user who is to work in it."""
    folder = Path(tempfile.mkdtemp(prefix="shiftwork-bench-")).resolve()
    folder.chmod(0o755)  # as workspaces are
    try:
        user = choose_user(folder)
        if user is not None:
            hand_over(folder, user)
        yield Place(folder, user)
    finally:
        shutil.rmtree(folder)


def launch(
    argv: tuple[str, ...], null: int, confinement: Confinement | None, door: int | None = None
) -> Launch:
    """One program, with nothing to read and nowhere to print."""
    cwd = Path("/workspace" if confinement else "/")
    return Launch(
        argv=argv,
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin"},
        marker=uuid.uuid4().hex,
        stdout=null,
        stderr=null,
        confinement=confinement,
        door=door,
    )


async def spend(sandbox: Sandbox, null: int, confinement: Confinement | None) -> float:
    """Seconds to start one in a sandbox and to see its end."""
    started = time.perf_counter()
    held = sandbox.start(launch(("/bin/true",), null, confinement))
    ended = await held.ended
    held.close()
    took = time.perf_counter() - started
    assert ended.code == 0, ended
    return took


async def spend_with_door(sandbox: Sandbox, null: int, confinement: Confinement) -> float:
    """The same with a network that leads to a gateway."""
    started = time.perf_counter()
    ours, theirs = open_door()
    with ours:
        with theirs:
            held = sandbox.start(launch(("/bin/true",), null, confinement, theirs.fileno()))
        (await receive_listener(ours)).close()
        await held.ended
        held.close()
    return time.perf_counter() - started


def spend_bare() -> float:
    """The same by `subprocess`, with nothing around it."""
    started = time.perf_counter()
    subprocess.run(["/bin/true"], check=True)
    return time.perf_counter() - started


async def measure(sandbox: Sandbox, where: Place) -> None:
    """Print medians, in milliseconds."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    took: dict[str, list[float]] = {"bare": [], "held together": [], "confined": [], "confined, door": []}
    for _ in range(ROUNDS + 5):
        took["bare"].append(spend_bare())
        took["held together"].append(await spend(sandbox, null, None))
        took["confined"].append(await spend(sandbox, null, where.confinement()))
        took["confined, door"].append(await spend_with_door(sandbox, null, where.confinement(Network.DOOR)))
    os.close(null)
    bare, barest = statistics.median(took["bare"][5:]), min(took["bare"])
    for name, values in took.items():
        middle, least = statistics.median(values[5:]), min(values)
        added, at_least = (middle - bare) * 1000, (least - barest) * 1000
        print(f"{name:16} p50 {middle * 1000:6.2f} ms  added {added:+6.2f} ms  at best {at_least:+6.2f} ms")


def work(order: str) -> None:
    """A worker for each word on standard input: says its pid, starts an agent, and waits to be killed."""
    about = json.loads(order)
    sandbox, where = find_bubblewrap()[about["sandbox"]], Place(Path(about["folder"]), about["user"])
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)

    async def one(word: str) -> None:
        argv = ("/bin/sh", "-c", AGENT, "agent", word)
        await sandbox.start(launch(argv, null, where.confinement())).ended

    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.write(1, f"{os.getpid()}\n".encode())
            asyncio.run(one(line.strip()))
            os._exit(0)
        os.waitpid(pid, 0)
        os.write(1, b"dead\n")


def kill_early(number: int, where: Place) -> None:
    """Kill workers at random moments, and count what is left of their agents."""
    order = json.dumps({"sandbox": number, "folder": str(where.folder), "user": where.user})
    chance = random.Random(SEED)
    words = [f"{10_000 + index}.{chance.randrange(10_000, 99_999)}" for index in range(KILLS)]
    argv = [sys.executable, "-P", __file__, order]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as zygote:
        assert zygote.stdin is not None
        assert zygote.stdout is not None
        for word in words:
            print(word, file=zygote.stdin, flush=True)
            worker = int(zygote.stdout.readline())
            time.sleep(chance.uniform(0, FIRST_MS / 1000))
            os.kill(worker, signal.SIGKILL)
            zygote.stdout.readline()
        time.sleep(1)
        left = {
            word for process in psutil.process_iter(["cmdline"]) for word in process.info["cmdline"] or ()
        }
        survivors = len(left & set(words))
        print(f"killed in the first {FIRST_MS} ms: {survivors} of {KILLS} left something")
        zygote.stdin.close()


def main() -> None:
    """Measure the first bubblewrap that works here."""
    if len(sys.argv) > 1:
        work(sys.argv[1])
        return
    for number, sandbox in enumerate(find_bubblewrap()):
        if works(sandbox):
            with place() as where:
                asyncio.run(measure(sandbox, where))
                kill_early(number, where)
            return
    print("no bubblewrap works here")


if __name__ == "__main__":
    main()
