"""How soon the code of a `python` agent runs, with and without an interpreter that waits for it.

Runs of three kinds alternate, so that a busy moment of the machine meets them alike: an agent whose
interpreter waits, one whose interpreter is started for it (both from `run` to the first line of its code),
and `python -c pass` in the same sandbox with the same limits, from its start to its end. The goal: the first
takes at most a third of the last. On a busy machine root keeps what else runs out of the times:
`chrt -f 20 python benchmarks/bench_python_agent.py`.
"""

import asyncio
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from shiftwork.agents.python.job import PythonJob, usual_limits
from shiftwork.agents.python.places import Places
from shiftwork.agents.python.runner import PythonRunner
from shiftwork.contracts.sandbox import SandboxOptions
from shiftwork.runner.environment import base_python, child_environment
from shiftwork.runner.spec import ProcessSpec
from shiftwork.runner.supervisor import run
from shiftwork.sandbox.base import Sandbox
from shiftwork.sandbox.cell import make_cell
from shiftwork.sandbox.choose import choose_sandbox
from shiftwork.sandbox.confinement import Bind
from shiftwork.sandbox.visible import installation_of

ROUNDS = 60
PAUSE = 0.15
"""Seconds between two runs, in which the next interpreter gets ready."""

GOAL = 1 / 3
CODE = "import time; print(time.monotonic())"


def confined_pass(sandbox: Sandbox, places: Places) -> ProcessSpec:
    """`python -c pass`, confined as an agent's code is."""
    place = places.take()
    place.make()
    env = child_environment(os.environ, {})
    interpreter = [Bind(path, path) for path in installation_of(base_python(), env["PATH"])]
    cell = make_cell(sandbox, SandboxOptions(), [*interpreter, *place.binds()], user=place.user)
    argv = (str(base_python()), "-c", "pass")
    return ProcessSpec(
        argv, cell.seen(place.workspace), env, limits=usual_limits(), confinement=cell.confinement
    )


async def first_line(runner: PythonRunner, job: PythonJob, *, waited: bool) -> tuple[float, float]:
    """Seconds to the first line of the code, and to the outcome."""
    started = time.monotonic()
    outcome = await runner.run(job)
    whole = time.monotonic() - started
    assert outcome.pre_started == waited, outcome
    return float(outcome.result) - started, whole


async def measure(folder: Path, took: dict[str, list[float]]) -> None:
    """Fill in seconds, by what was done."""
    sandbox = choose_sandbox()
    places = Places(folder / "cold", sandbox)
    cold = confined_pass(sandbox, places)
    warm_job = PythonJob(CODE)
    cold_job = replace(warm_job, limits=replace(usual_limits(), open_files=1_000))
    async with PythonRunner(sandbox, folder / "warm", warm=2) as runner:
        for _ in range(ROUNDS + 3):
            await asyncio.sleep(PAUSE)
            first, whole = await first_line(runner, warm_job, waited=True)
            took["agent, waiting interpreter"].append(first)
            took["  to its outcome"].append(whole)
            await asyncio.sleep(PAUSE)
            first, _ = await first_line(runner, cold_job, waited=False)
            took["agent, started for it"].append(first)
            await asyncio.sleep(PAUSE)
            result = await run(cold, sandbox=sandbox)
            assert result.exit_status == 0, result
            took["python -c pass, confined"].append(result.duration)
    places.close()


def main() -> None:
    """Print medians and the ratio."""
    names = ("agent, waiting interpreter", "  to its outcome", "agent, started for it")
    took: dict[str, list[float]] = {name: [] for name in (*names, "python -c pass, confined")}
    with tempfile.TemporaryDirectory(prefix="shiftwork-bench-") as folder:
        Path(folder).chmod(0o755)
        asyncio.run(measure(Path(folder).resolve(), took))
    for name, values in took.items():
        kept = sorted(values[3:])
        middle, late = statistics.median(kept), kept[int(len(kept) * 0.95)]
        print(f"{name:28} p50 {middle * 1000:7.2f} ms  p95 {late * 1000:7.2f} ms")
    ratio = statistics.median(took[names[0]][3:]) / statistics.median(took["python -c pass, confined"][3:])
    verdict = "met" if ratio <= GOAL else "missed"
    print(f"a waiting interpreter takes {ratio:.3f} of python -c pass (goal: at most {GOAL:.3f}; {verdict})")


if __name__ == "__main__":
    main()
