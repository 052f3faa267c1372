"""Agents, tasks, schedules and handoffs in usual terminals, whatever people and agents wrote."""

import json
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from client.api import Shiftwork
from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.contracts.task import TaskErrorKind, TaskStatus
from shiftwork.handoffs import HandoffContext
from shiftwork.store.agents import AgentDefinition, AgentRow
from shiftwork.store.task_rows import NewTask, TaskOutcome
from tests.integration.test_cli_widths import shown

WIDTH = 80
LONG = "/a/folder/with/a/name/that/is/longer/than/any/terminal/is/wide/" * 3


@pytest.fixture
async def agent(stack) -> AsyncIterator[AgentRow]:
    """An agent of whom all is long, with a task that failed, a schedule and a handoff."""
    name = f"{uuid.uuid4().hex}{uuid.uuid4().hex}-{'n' * 50}"
    config = AgentConfiguration(
        schedule="0,5,10,15,20,25,30,35,40,45,50,55 0 29 2 *",
        schedules={f"s{uuid.uuid4().hex}{'x' * 60}": "0 0 29 2 *"},
        timezone="America/Argentina/ComodRivadavia",
        parameters={"folder": LONG, "words": "word " * 40},
    )
    definition = AgentDefinition(
        kind="command", description=f"Goes to {LONG} and on. ", settings={"argv": ["ls", LONG]}, config=config
    )
    async with Shiftwork(stack) as shiftwork:
        made = await shiftwork.register_agent(name, definition)
        await shiftwork.pause_schedule(made.id, "It rests because nobody needs it in these days. " * 3)
        async with shiftwork.store.transaction() as tx:
            of = {"agent_id": made.id, "agent_version": 1}
            new = NewTask(provider="agent", user_id="u" * 150, instruction=f"look at {LONG} " * 4, **of)
            task = (await tx.tasks.begin((await tx.tasks.create(new)).id, f"{'host' * 30}:1", {})).task
            failed = TaskOutcome(
                status=TaskStatus.FAILED,
                error=f"There is no {LONG}: nothing was done.",
                error_kind=TaskErrorKind.AUTHENTICATION,
                duration=123456.7,
            )
            await tx.tasks.finish(task.id, task.token or 0, failed)
            await tx.tasks.create(NewTask(provider="p" * 60, instruction="x" * 200, user_id="ann"))
            context = HandoffContext(
                state={"folder": LONG, "list": list(range(100))}, actions=[{"type": LONG}]
            )
            ttl = timedelta(days=30)
            await tx.handoffs.save(context.to_json(), f"Was in {LONG}. " * 3, agent_id=made.id, ttl=ttl)
        yield made
        await shiftwork.delete_agent(made.id)


async def test_every_page_about_agents_has_room(stack, agent: AgentRow) -> None:
    """If it failed, tables and sentences would be broken by the terminal wherever a line is full."""
    of = str(agent.id)
    async with Shiftwork(stack) as shiftwork:
        task = str((await shiftwork.tasks(agent=of))[0].id)
        handoff = str((await shiftwork.store.read(lambda tx: tx.handoffs.history(agent.id)))[0].id)
    for command in (
        ("agents", "list"),
        ("agents", "show", of),
        ("agents", "versions", of),
        ("schedules", "list"),
        ("schedules", "show", of),
        ("handoffs", "list", of),
        ("handoffs", "show", of, handoff),
        ("tasks", "list"),
        ("tasks", "show", task),
    ):
        page = shown(stack.state, WIDTH, *command)
        assert "Traceback" not in page
        # A word that is longer than a line stays whole on one of its own, so that it can be copied.
        long = [line for line in page.splitlines() if len(line) > WIDTH and " " in line.strip()]
        assert long == [], (command, json.dumps(long))
