"""How fast an agent's output is read: 200 MB of lines of 80 bytes, against `cat >/dev/null` of the same.

The floor takes the data from the same program through the same kind of pipe and looks at nothing. What is
measured: lines one by one, lists of lines, `run` with a callback for each line, and the memory meanwhile.
Floor and measurement alternate; the best of each counts, since other work on the machine only ever adds.
"""

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from shiftwork.runner import AgentConfig, AgentHandle, LocalProcessRunner, ProcessRunnerConfig
from shiftwork.runner.environment import child_environment
from shiftwork.runner.spec import ProcessSpec
from shiftwork.runner.supervisor import run
from shiftwork.sandbox.choose import choose_sandbox

LINE = b"x" * 79 + b"\n"
ROUNDS = 3
LEAST = 0.5
"""What lists of lines must reach of the floor."""


def write(path: Path, lines: int) -> None:
    """A file of so many lines, without ever holding it."""
    block = LINE * 10_000
    with path.open("wb") as file:
        for _ in range(lines // 10_000):
            file.write(block)
        file.write(LINE * (lines % 10_000))


def floor(path: Path) -> float:
    """Seconds of `cat FILE | cat >/dev/null`."""
    started = time.perf_counter()
    subprocess.run(["/bin/sh", "-c", 'cat "$0" | cat >/dev/null', str(path)], check=True)
    return time.perf_counter() - started


async def by_line(handle: AgentHandle) -> int:
    """Lines, one after the other."""
    number = 0
    async for _ in handle:
        number += 1
    return number


async def by_batch(handle: AgentHandle) -> int:
    """Lines, by the list."""
    number = 0
    async for lines in handle.batches():
        number += len(lines)
    return number


async def through_runner(path: Path, read: Callable[[AgentHandle], Awaitable[int]]) -> tuple[float, int]:
    """Seconds and lines from the start of `cat FILE` to the end of its process."""
    config = ProcessRunnerConfig(commands={"cat": ["cat", "{task}"]}, output="wait")
    async with LocalProcessRunner(config) as runner:
        await (await runner.spawn(AgentConfig("warm", "cat", os.devnull))).wait()
        started = time.perf_counter()
        handle = await runner.spawn(AgentConfig("flood", "cat", str(path)))
        number = await read(handle)
        await handle.wait()
        return time.perf_counter() - started, number


async def through_run(path: Path) -> tuple[float, int]:
    """The same by `run`, which also takes the SHA-256 of everything."""
    number = 0

    def count(_stream: str, _line: bytes) -> None:
        nonlocal number
        number += 1

    spec = ProcessSpec(("cat", str(path)), path.parent, child_environment(os.environ, {}))
    sandbox = choose_sandbox()
    started = time.perf_counter()
    await run(spec, sandbox=sandbox, on_line=count)
    return time.perf_counter() - started, number


def peak() -> float:
    """The most memory that this process had so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def main() -> int:
    """Print the figures; 1 if lists of lines are read at less than half of the floor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    size = parser.parse_args().megabytes * 1_000_000
    ways: dict[str, Callable[[Path], tuple[float, int]]] = {
        "async for line": lambda path: asyncio.run(through_runner(path, by_line)),
        "batches": lambda path: asyncio.run(through_runner(path, by_batch)),
        "run(on_line)": lambda path: asyncio.run(through_run(path)),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines"
        expected = size // len(LINE)
        write(path, expected)
        before = peak()
        floors, best = [], dict.fromkeys(ways, float("inf"))
        for _ in range(ROUNDS):
            for name, way in ways.items():
                floors.append(floor(path))
                seconds, number = way(path)
                assert number == expected, f"{name}: {number} of {expected} lines"
                best[name] = min(best[name], seconds)
    print(f"floor: cat >/dev/null      {size / min(floors) / 1e6:7.0f} MB/s")
    for name, seconds in best.items():
        print(f"{name:26} {size / seconds / 1e6:7.0f} MB/s  x {min(floors) / seconds:.2f} of the floor")
    print(f"memory: {before:.0f} MB before, at most {peak():.0f} MB (the data: {size / 1e6:.0f} MB)")
    return int(min(floors) / best["batches"] < LEAST)


if __name__ == "__main__":
    sys.exit(main())
