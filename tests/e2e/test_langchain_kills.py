"""Agents and workers that are killed in the middle of a conversation with a model."""

import asyncio
import os
import signal

import pytest

from shiftwork.store.rows import Totals
from tests.e2e.lab import Lab, Project, eventually, no_process_lives
from tests.e2e.langchain_staff import (
    HAND_OVER,
    Staff,
    every_wire,
    start,
)
from tests.e2e.support import WorkerProcess, processes_of
from tests.llm.script import Answer, Reply, Turn
from tests.llm.server import LlmServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@every_wire
@pytest.mark.parametrize("whom", ["agent", "worker"])
async def test_a_kill_costs_the_call_in_flight_at_most(
    wire: str, whom: str, lab: Lab, shared_worker: WorkerProcess
) -> None:
    """If it failed, a crash would have a model's answers paid for again, or do twice what they asked for."""
    staff = Staff(
        command="echo once >> log.txt; touch {here}; sleep 1; echo done > {{feature}}.txt".format(
            here=lab.folder / "here"
        )
    )
    with LlmServer.in_thread(staff) as server:
        project = await start(lab, wire, server, planned=True)
        await lab.reached()
        if whom == "worker":
            await asyncio.to_thread(shared_worker.kill)
            await asyncio.to_thread(shared_worker.start)
        else:
            os.kill(await _program(project), signal.SIGKILL)
        staff.instead = _look_and_finish
        await eventually(lambda: _rests(project), 200)
        status = await lab.shiftwork.status(project.id)
        assert (status["status"], status["reason"]) == ("completed", "")
        # The session goes on: nothing that was answered is asked again, nothing that was done is done twice.
        assert set(staff.asked.values()) == {1}
        assert (await project.features())["a"].attempts == 0
        assert project.read("log.txt").splitlines().count("once") == 1
        assert len(await project.events("session_started")) == 1
        [ended] = await project.events("session_ended")
        totals = await _totals(project)
        assert ended.data["cost_usd"] == pytest.approx(totals.cost_usd)
        assert totals.input_tokens == 100 * len(staff.asked)
    await no_process_lives(lab)


def _look_and_finish(turn: Turn) -> Answer | None:
    """What a model does that is told that its command was interrupted."""
    if turn.tool_results and "interrupted" in turn.tool_results[-1]:
        return Reply("look", (("execute", {"command": "echo done > a.txt"}),))
    if len(turn.tool_results) > 2:
        return Reply("so", (HAND_OVER,))
    return None


async def _totals(project: Project) -> Totals:
    async with project.lab.shiftwork.store.transaction() as tx:
        return await tx.projects.totals(project.id)


async def _rests(project: Project) -> bool:
    status = await project.lab.shiftwork.status(project.id)
    return status["status"] in ("completed", "paused")


async def _program(project: Project) -> int:
    """The process of the project's one agent that runs."""

    async def look() -> int | None:
        of_project = processes_of(project.lab.settings.state, f"projects/{project.id}")
        found = [line for line in of_project if "-m shiftwork.agents.langchain" in line]
        return int(found[-1].split()[0]) if found else None

    return await eventually(look)
