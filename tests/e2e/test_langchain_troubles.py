"""Trouble with models in the middle of the work: it costs nothing, and nothing is lost."""

from dataclasses import replace

import pytest

from tests.e2e.lab import Lab
from tests.e2e.langchain_staff import (
    SESSIONS,
    Staff,
    completes,
    every_wire,
    failures,
    role_of,
    sessions,
    start,
    steps_done,
)
from tests.llm.script import Answer, Drop, Fault, Reply, Turn
from tests.llm.server import LlmServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def overflow(wire: str) -> Fault:
    """How a provider says that a conversation is too long."""
    if wire == "anthropic":
        error = {
            "type": "invalid_request_error",
            "message": "prompt is too long: 300000 tokens > 200000 maximum",
        }
        return Fault(400, body={"type": "error", "error": error})
    message = "This model's maximum context length is 128000 tokens, and your messages have 300000."
    return Fault(
        400,
        body={
            "error": {"message": message, "type": "invalid_request_error", "code": "context_length_exceeded"}
        },
    )


@every_wire
async def test_trouble_with_the_model_costs_nothing(wire: str, lab: Lab) -> None:
    """If it failed, an hour of a provider's trouble would spend the attempts of a feature."""
    half = Reply("now", (("execute", {"command": "touch half.txt"}),))
    unreadable = replace(half, malformed=True)
    trouble: dict[str, list[Answer]] = {
        "initializer": [Fault(429, headers={"retry-after": "1"}), Drop(half)],
        "session": [overflow(wire), Reply("so", (("no_such_tool", {"x": 1}),)), Fault(500)],
        "research": [Drop(half), unreadable],
        "testing": [Fault(503, headers={"retry-after": "1"}), Reply("so", (("execute", {"wrong": 1}),))],
        "documentation": [Drop(), Fault(429, headers={"retry-after": "1"})],
        "verifier": [unreadable, Fault(500), Reply("so", (("no_such_tool", {"x": 1}),))],
    }

    def script(turn: Turn) -> Answer | None:
        """Each trouble in the middle of the work, one before each step, the last before the third."""
        left = trouble[role_of(turn)]
        return left.pop() if left and steps_done(turn) == 3 - len(left) else None

    with LlmServer.in_thread(Staff(script)) as server:
        project = await start(lab, wire, server)
        await completes(project)
        assert not any(trouble.values()), trouble
        assert await failures(project) == []
        assert {row.attempts for row in (await project.features()).values()} == {0}
        ended = [event.data for event in await project.events("session_ended")]
        assert await sessions(project) == list(SESSIONS.items()), ended
        assert "half.txt" not in project.files()


@every_wire
async def test_a_conversation_that_is_too_long_is_summed_up(wire: str, lab: Lab) -> None:
    """If it failed, long work would end where the model's context does."""
    faults = [overflow(wire)]

    def script(turn: Turn) -> Answer | None:
        if faults and len(turn.tool_results) < 6:
            return Reply("look", (("execute", {"command": f"echo step {len(turn.tool_results)}"}),))
        return faults.pop() if faults else None

    with LlmServer.in_thread(Staff(script)) as server:
        project = await start(lab, wire, server, planned=True)
        await completes(project)
        assert faults == []
        assert await failures(project) == []


async def test_an_interrupted_conversation_is_gone_on_with(lab: Lab) -> None:
    """If it failed, each limit in the middle of the work would have all that came before paid for again."""
    limit: list[Answer] = [Fault(429, headers={"retry-after": "7200"})]
    staff = Staff(lambda turn: limit.pop() if len(turn.tool_results) == 2 and limit else None)
    with LlmServer.in_thread(staff) as server:
        project = await start(lab, "anthropic", server, planned=True)
        await project.event("session_ended")
        assert limit == []
        now = await project.now()
        await lab.shiftwork.resume(project.id)
        await completes(project, now)
        assert sorted(staff.asked.values()) == [1, 1, 2], "only what was refused is asked again"
        assert (await project.features())["a"].attempts == 0
        async with lab.shiftwork.store.transaction() as tx:
            assert len(await tx.decisions.history(project.id)) == 1
