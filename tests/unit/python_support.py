"""Running agents' code, as a worker does."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from shiftwork.agents.python.job import PythonJob
from shiftwork.agents.python.outcome import PythonOutcome
from shiftwork.agents.python.runner import PythonRunner
from shiftwork.runner.limits import Limits
from shiftwork.sandbox.choose import choose_sandbox


def make_runner(folder: Path, **more) -> PythonRunner:
    """A runner in the strongest sandbox of this machine; its folders are within others' reach."""
    folder.chmod(0o755)
    return PythonRunner(choose_sandbox(), folder / "agents", **{"warm": 1, "grace": 0.3, **more})


async def run(runner: PythonRunner, code: str, **more) -> PythonOutcome:
    """Run code to its end."""
    return await runner.run(PythonJob(code, **{"timeout": 30, **more}))


def limits(**more) -> Limits:
    """The usual ones, and these."""
    return Limits(**{"processes": 1_000, "file_size_mb": 20_000, **more})


async def until(condition: Callable[[], bool], seconds: float = 100) -> None:
    """Return once something is so."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.005)
