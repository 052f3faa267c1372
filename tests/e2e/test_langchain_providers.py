"""Providers that refuse a project's agent: it waits, or another agent goes on."""

import pytest

from shiftwork.planning.refusing import REJECTED
from tests.e2e.lab import Lab
from tests.e2e.langchain_staff import (
    PLAN,
    WIRES,
    Staff,
    agent,
    completes,
    every_wire,
    failures,
    start,
    start_with,
)
from tests.llm.script import Answer, Fault
from tests.llm.server import LlmServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@every_wire
async def test_refused_credentials_pause_the_project(wire: str, lab: Lab) -> None:
    """If it failed, a wrong key would spend every attempt."""
    refused = [True]
    with LlmServer.in_thread(Staff(lambda _: Fault(401) if refused else None)) as server:
        project = await start(lab, wire, server, planned=True)
        assert "credentials" in await project.pauses()
        refused.clear()
        now = await project.now()
        await lab.shiftwork.resume(project.id)
        await completes(project, now)
        assert (await project.features())["a"].attempts == 0


async def test_another_agent_goes_on_where_a_provider_is_down(lab: Lab) -> None:
    """If it failed, an outage of one provider would stop a project that has another, or cost attempts."""
    staff = Staff(plan=PLAN[:1])
    with LlmServer.in_thread(staff) as second:
        with LlmServer.in_thread(staff) as first:
            chosen = agent("openai", first, max_retries=0)
            chosen = chosen.model_copy(update={"fallbacks": (agent("anthropic", second),)})
            project = await start_with(lab, chosen, autorun=False)
            await project.rest(seconds=100)
            assert await project.statuses() == {"a": "not_started"}
            assert second.turns == []
        after = await project.now()
        await lab.shiftwork.resume(project.id, autorun=True)
        await completes(project, after)
        assert len(second.turns) == 3
        [rest] = await project.events("agent_rests")
        assert rest.data["next_model"] == WIRES["anthropic"][0]
        ended = await project.events("attempt_ended")
        assert [e.data["reason"] for e in ended] == [None, "unavailable", None]
        assert await failures(project) == []
        assert (await project.features())["a"].attempts == 0


@every_wire
async def test_a_wrong_name_of_a_model_is_told_in_the_reason(wire: str, lab: Lab) -> None:
    """If it failed, people would have to look for a misspelt name in the logs, or a history would hold it."""
    wrong: list[Answer] = [Fault(404, "The model \x1b[1mgpt-6-miny\x1b[0m does not exist." + "x" * 5000)]
    with LlmServer.in_thread(Staff(lambda _: wrong[0] if wrong else None)) as server:
        project = await start(lab, wire, server, planned=True)
        reason = await project.pauses()
        assert reason.startswith(f'{REJECTED.partition(";")[0]}: "The model ')
        assert "gpt-6-miny" in reason
        assert "shiftwork resume --model NAME" in reason
        assert len(reason) < 700
        assert "\x1b" not in reason
        assert [e.data["reason"] for e in await project.events("paused")] == [reason]
        known = await (await project.workflow()).query("status")
        assert known["reason"] == REJECTED
        await lab.shiftwork.set_budget(project.id, 5)
        assert (await lab.shiftwork.status(project.id))["reason"] == reason
        wrong.clear()
        now = await project.now()
        await lab.shiftwork.resume(project.id)
        await completes(project, now)
        assert (await project.features())["a"].attempts == 0
