"""Many agents: 300 that stream at once, and 1,000 spawned, against the same programs without a runner.

Streaming: each agent prints lines of 80 bytes as fast as it is read; what is measured is the time until all
lines of all of them have arrived, against a shell that starts the same programs, each into a `cat`.
Spawning: `/bin/true`, start to reaped, 50 at a time, against `subprocess.run` one after the other.
"""

import argparse
import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from shiftwork.runner import AgentConfig, AgentHandle, LocalProcessRunner, ProcessRunnerConfig
from shiftwork.sandbox.base import Sandbox
from shiftwork.sandbox.choose import cheap_sandbox, choose_sandbox

LINE = b"x" * 79 + b"\n"
LINES = 2_500
SAMPLE = 200
"""How many programs are run without a runner, for the time of one."""


def runner(sandbox: Sandbox, *, wait: bool = False) -> LocalProcessRunner:
    """One that runs `cat FILE` as the agent "cat"."""
    output = "wait" if wait else "drop"
    config = ProcessRunnerConfig(commands={"cat": ["cat", "{task}"]}, output=output, sandbox=sandbox)  # type: ignore[arg-type]  # one of the two
    return LocalProcessRunner(config)


def shell_streams(path: Path, number: int) -> float:
    """Seconds of a shell that runs `cat FILE | cat` so many times at once."""
    script = 'i=0; while [ $i -lt "$1" ]; do cat "$0" | cat >/dev/null & i=$((i+1)); done; wait'
    started = time.perf_counter()
    subprocess.run(["/bin/sh", "-c", script, str(path), str(number)], check=True)
    return time.perf_counter() - started


async def streams(sandbox: Sandbox, path: Path, number: int) -> float:
    """Seconds until every line of so many agents has been read."""

    async def read(handle: AgentHandle) -> int:
        lines = 0
        async for batch in handle.batches():
            lines += len(batch)
        return lines

    async with runner(sandbox, wait=True) as own:
        started = time.perf_counter()
        handles = await own.spawn_many([AgentConfig("a", "cat", str(path))] * number, batch_size=50)
        counts = await asyncio.gather(*map(read, handles))
        assert counts == [LINES] * number, "lines were lost"
        return time.perf_counter() - started


async def spawns(sandbox: Sandbox, number: int) -> float:
    """Seconds until so many agents have come and gone, 50 at a time."""
    async with runner(sandbox) as own:
        await (await own.spawn(AgentConfig("warm", "true", "x"))).wait()
        started = time.perf_counter()
        for first in range(0, number, 50):
            batch = min(50, number - first)
            handles = await own.spawn_many([AgentConfig("a", "true", "x")] * batch, batch_size=batch)
            for handle in handles:
                assert (await handle.wait()).success, "one failed"
        return time.perf_counter() - started


def bare_spawn() -> float:
    """Seconds of one `subprocess.run` of `true`."""
    started = time.perf_counter()
    for _ in range(SAMPLE):
        subprocess.run(["true", "x"], check=True)
    return (time.perf_counter() - started) / SAMPLE


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streaming", type=int, default=300)
    parser.add_argument("--spawned", type=int, default=1000)
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines"
        path.write_bytes(LINE * LINES)
        for sandbox in (cheap_sandbox(), choose_sandbox()):
            floor = shell_streams(path, given.streaming)
            seconds = asyncio.run(streams(sandbox, path, given.streaming))
            megabytes = given.streaming * LINES * len(LINE) / 1e6
            print(
                f"{sandbox.level:10} {given.streaming} streaming at once: {seconds:.2f} s, "
                f"{megabytes / seconds:.0f} MB/s, x {seconds / floor:.2f} of the shell's time"
            )
            bare = bare_spawn()
            each = asyncio.run(spawns(sandbox, given.spawned)) / given.spawned
            print(
                f"{sandbox.level:10} {given.spawned} spawned: {each * 1e3:.2f} ms each, "
                f"x {each / bare:.2f} of subprocess.run ({bare * 1e3:.2f} ms)"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
