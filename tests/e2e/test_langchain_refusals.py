"""Models that refuse their work: that costs an attempt, and people are told."""

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
)
from tests.llm.script import Answer, Reply, Turn
from tests.llm.server import LlmServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@every_wire
async def test_a_refusal_in_any_role_costs_an_attempt_and_is_told(wire: str, lab: Lab) -> None:
    """If it failed, a model that declines would look like one that crashed, or end the project."""
    declines = {*SESSIONS.values(), "verifier"}

    def script(turn: Turn) -> Answer | None:
        """Whoever has it declines once."""
        if (role := role_of(turn)) not in declines:
            return None
        declines.remove(role)
        return Reply("I won't.", refused=True)

    with LlmServer.in_thread(Staff(script)) as server:
        project = await start(lab, wire, server)
        await completes(project)
        assert declines == set()
        assert {row.attempts for row in (await project.features()).values()} == {1}
        assert [kind for kind, _ in await failures(project)] == ["agent_refused"] * (len(SESSIONS) + 1)
        assert await sessions(project) == [each for each in SESSIONS.items() for _ in range(2)]
