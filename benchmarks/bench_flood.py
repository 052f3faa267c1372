"""How fast an agent's output is read: 200 MB of lines of 80 bytes, against `cat >/dev/null` of the same.

The floor takes the data from the same program through the same kind of pipe and looks at nothing. What is
measured: lines one by one, lists of lines, `run` with a callback for each line, and the memory meanwhile.
There are two programs: `cat FILE`, which is faster than any agent, and one that makes up what it prints.
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
PRINTER = """
import sys
for n in range(int(sys.argv[1])): sys.stdout.buffer.write(b"x" * 79 + b"\\n")
"""
"""A program that prints line after line, through the usual buffer."""

Argv = tuple[str, ...]


def write(path: Path, lines: int) -> None:
    """A file of so many lines, without ever holding it."""
    block = LINE * 10_000
    with path.open("wb") as file:
        for _ in range(lines // 10_000):
            file.write(block)
        file.write(LINE * (lines % 10_000))


def floor(argv: Argv) -> float:
    """Seconds of `PROGRAM | cat >/dev/null`."""
    started = time.perf_counter()
    subprocess.run(
        ["/bin/sh", "-c", '"$@" | cat >/dev/null', "sh", *argv],
        check=True,
        env=child_environment(os.environ, {}),
    )
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


async def through_runner(argv: Argv, read: Callable[[AgentHandle], Awaitable[int]]) -> tuple[float, int]:
    """Seconds and lines from the start of a program to the end of its process."""
    config = ProcessRunnerConfig(commands={"flood": argv, "warm": ["true"]}, output="wait")
    async with LocalProcessRunner(config) as runner:
        await (await runner.spawn(AgentConfig("warm", "warm", "-"))).wait()
        started = time.perf_counter()
        handle = await runner.spawn(AgentConfig("flood", "flood", "-"))
        number = await read(handle)
        await handle.wait()
        return time.perf_counter() - started, number


async def through_run(argv: Argv) -> tuple[float, int]:
    """The same by `run`, which also takes the SHA-256 of everything."""
    number = 0

    def count(_stream: str, _line: bytes) -> None:
        nonlocal number
        number += 1

    spec = ProcessSpec(argv, Path.cwd(), child_environment(os.environ, {}))
    sandbox = choose_sandbox()
    started = time.perf_counter()
    await run(spec, sandbox=sandbox, on_line=count)
    return time.perf_counter() - started, number


def peak() -> float:
    """The most memory that this process had so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


WAYS: dict[str, Callable[[Argv], tuple[float, int]]] = {
    "async for line": lambda argv: asyncio.run(through_runner(argv, by_line)),
    "batches": lambda argv: asyncio.run(through_runner(argv, by_batch)),
    "run(on_line)": lambda argv: asyncio.run(through_run(argv)),
}


def compare(name: str, argv: Argv, lines: int) -> None:
    """Print what becomes of so many lines of a program."""
    floors, best, size = [], dict.fromkeys(WAYS, float("inf")), lines * len(LINE) / 1e6
    for _ in range(ROUNDS):
        for way, measure in WAYS.items():
            floors.append(floor(argv))
            seconds, number = measure(argv)
            assert number == lines, f"{way}: {number} of {lines} lines"
            best[way] = min(best[way], seconds)
    print(f"{name}: floor {size / min(floors):.0f} MB/s")
    for way, seconds in best.items():
        print(f"  {way:16} {size / seconds:5.0f} MB/s, x {min(floors) / seconds:.2f} of the floor")


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    lines = parser.parse_args().megabytes * 1_000_000 // len(LINE)
    before = peak()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines"
        write(path, lines)
        compare("cat FILE", ("cat", str(path)), lines)
        compare("a program that prints", (sys.executable, "-c", PRINTER, str(lines)), lines)
    print(f"memory: {before:.0f} MB before, at most {peak():.0f} MB meanwhile")
    return 0


if __name__ == "__main__":
    sys.exit(main())
