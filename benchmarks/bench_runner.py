"""What spawning, running and reaping /bin/true costs in each sandbox, beside a bare `subprocess.run` of it.

Both alternate in one run, so that a busy moment of the machine meets them alike. The goal for the cheapest
sandbox, limits included, is three times the bare one.
"""

import asyncio
import statistics
import subprocess
import time
from pathlib import Path

from shiftwork.runner.limits import Limits
from shiftwork.runner.supervisor import ProcessSpec, run
from shiftwork.sandbox.base import Sandbox
from shiftwork.sandbox.choose import candidates, works

ROUNDS = 200
LIMITS = Limits(cpu_seconds=60, memory_mb=500, processes=50, file_size_mb=100, open_files=256)


async def measure(sandbox: Sandbox) -> tuple[float, float]:
    """Median seconds in the sandbox, and bare; the first round warms up."""
    spec = ProcessSpec(("/bin/true",), Path("/"), {"PATH": "/usr/bin:/bin"}, limits=LIMITS)
    held, bare = [], []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        await run(spec, sandbox=sandbox)
        held.append(time.perf_counter() - started)
        started = time.perf_counter()
        subprocess.run(["/bin/true"], check=True)  # noqa: ASYNC221 - nothing else is to run meanwhile
        bare.append(time.perf_counter() - started)
    return statistics.median(held[1:]), statistics.median(bare[1:])


def main() -> None:
    """Print the medians and their ratio for each sandbox that works here."""
    for sandbox in candidates():
        if works(sandbox):
            held, bare = asyncio.run(measure(sandbox))
            print(
                f"{sandbox.level:12} {held * 1000:6.2f} ms  bare {bare * 1000:5.2f} ms  {held / bare:5.2f} x"
            )


if __name__ == "__main__":
    main()
