"""What a session costs beside its agent and its verification.

The floor is the same agent process and the same verification step, run by the same supervisor in the same
sandbox, with nothing around them. The session adds: workflow, lease, rows, workspace, brief, snapshot, merge,
landing commit, feeding the user's repository.
"""

import asyncio
import itertools
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import yaml

from client.api import Shiftwork
from shiftwork.agents.brief import BriefRequest, FeatureBrief, ProjectBrief, write_brief
from shiftwork.agents.protocol import AgentRequest
from shiftwork.agents.run import run_agent_process
from shiftwork.agents.scripted import ScriptedBackend
from shiftwork.contracts.project import AgentOptions, ProjectOptions
from shiftwork.sandbox.choose import choose_sandbox
from shiftwork.settings import Settings
from shiftwork.stack.child import Command
from shiftwork.stack.dev import DevStack
from shiftwork.verification.shell import Shell

SESSIONS = 20


def cassette(folder: Path) -> Path:
    """Features that depend on nothing and write one file each."""
    names = [f"f{n}" for n in range(SESSIONS)]
    step = {"description": "it is there", "command": "test -f README"}
    features = [{"name": name, "verification_steps": [step]} for name in names]
    sessions = {
        name: [[{"write": {"path": path, "content": name}} for path in ("README", name)]] for name in names
    }
    path = folder / "cassette.yml"
    path.write_text(yaml.safe_dump({"plan": {"features": features}, "sessions": sessions}))
    return path


async def floor(folder: Path, path: Path) -> list[float]:
    """Seconds of each agent with its step, and the steps of those that passed before, alone."""
    sandbox, seconds = choose_sandbox(), []
    for number in range(SESSIONS):
        work, brief, outbox = (folder / f"{name}{number}" for name in ("work", "brief", "outbox"))
        work.mkdir()
        outbox.mkdir()
        feature = FeatureBrief(id=number, name=f"f{number}")
        write_brief(
            brief, BriefRequest(project=ProjectBrief(id="b", name="b"), session=number, feature=feature)
        )
        started = time.perf_counter()
        await run_agent_process(
            ScriptedBackend(),
            AgentRequest(work, brief, outbox, {"cassette": str(path)}),
            env={},
            sandbox=sandbox,
            timeout=60,
            on_event=_ignore,
        )
        for _ in range(number + 1):
            await Shell(sandbox).run("test -f README", cwd=work, scratch=folder / "home", timeout=60)
        seconds.append(time.perf_counter() - started)
    return seconds


async def _ignore(_: object) -> None:
    """Events are not what is measured."""


async def sessions(folder: Path, path: Path) -> list[float]:
    """Seconds from the end of one session to the end of the next."""
    settings = Settings(state=folder / "state")
    worker = Command(
        "worker",
        (sys.executable, "-P", "-m", "worker"),
        settings.state / "worker.log",
        env={**os.environ, "SHIFTWORK_STATE": str(settings.state)},
    )
    async with DevStack(settings, [worker]), Shiftwork(settings) as shiftwork:
        options = ProjectOptions(agent=AgentOptions(settings={"cassette": str(path)}))
        project_id = await shiftwork.start("bench", "x", repository=folder / "repository", options=options)
        status = await shiftwork.wait(project_id)
        assert status["status"] == "completed", status
        ends = [e.at.timestamp() async for e in shiftwork.events(project_id) if e.kind == "session_ended"]
    return [after - before for before, after in itertools.pairwise(ends)]


def main() -> int:
    """Print the medians and their ratio."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path = cassette(folder)
        alone = statistics.median(asyncio.run(floor(folder, path)))
        whole = statistics.median(asyncio.run(sessions(folder, path)))
    print(f"agent and steps alone   {1000 * alone:7.1f} ms")
    print(f"a session, all in all   {1000 * whole:7.1f} ms   {whole / alone:.2f} x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
