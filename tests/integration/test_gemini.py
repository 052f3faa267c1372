"""The real gemini program against the scripted model server."""

import pytest

from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.agents.gemini import GeminiBackend
from shiftwork.agents.protocol import AgentRequest
from shiftwork.agents.run import AgentEnd, run_agent_process
from shiftwork.contracts.session import InterruptionReason, RunStatus
from shiftwork.sandbox.choose import choose_sandbox
from tests.llm.programs import find_program_or_skip
from tests.llm.script import Answer, Fault, Reply, Usage, in_order
from tests.llm.server import LlmServer

WRITE = Reply("I write", (("write_file", {"file_path": "a.txt", "content": "hello"}),), Usage(100, 10, 40))
DONE = Reply("done", usage=Usage(50, 5))


async def play(folder, *answers: Answer) -> tuple[AgentEnd, list[AgentEvent]]:
    """Run gemini in a workspace, with the answers that a script gives."""
    program = find_program_or_skip("gemini")
    for name in ("workspace", "home"):
        (folder / name).mkdir()
    events: list[AgentEvent] = []

    async def listen(event: AgentEvent) -> None:
        events.append(event)

    async with LlmServer(in_order(*answers)) as server:
        settings = {"program": program, "model": "gemini-2.5-pro", "base_url": server.url}
        request = AgentRequest(
            folder / "workspace",
            prompt="do the job",
            home=folder / "home",
            settings={**settings, "environment": {"GEMINI_API_KEY": "secret"}},
        )
        end = await run_agent_process(
            GeminiBackend(),
            request,
            env={},
            sandbox=choose_sandbox(),
            timeout=100,
            on_event=listen,
        )
    return end, events


async def test_a_tool_is_used_and_counted(tmp_path):
    """Otherwise no session of gemini would do, end or cost anything."""
    end, events = await play(tmp_path, WRITE, DONE)
    assert end.status is RunStatus.COMPLETED, end
    assert (tmp_path / "workspace" / "a.txt").read_text() == "hello"
    used = [event for event in events if event.kind is AgentEventKind.USAGE]
    assert [(each.input_tokens, each.output_tokens, each.cache_read_tokens) for each in used] == [
        (150, 15, 40)
    ]
    assert AgentEventKind.TOOL_RESULT in [event.kind for event in events]


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, InterruptionReason.AUTHENTICATION), (400, InterruptionReason.REJECTED)],
)
async def test_a_provider_that_refuses(tmp_path, status, reason):
    """Otherwise a wrong key, or a request that never works, would cost attempts."""
    end, _ = await play(tmp_path, Fault(status, "it says no"))
    assert end.reason is reason
    assert "it says no" in end.message


def test_the_program_is_found_usable():
    """Otherwise `doctor` would tell people to install what they have."""
    program = find_program_or_skip("gemini")
    settings = {"program": program, "environment": {"GEMINI_API_KEY": "secret"}}
    report = GeminiBackend().diagnose(settings)
    assert report.usable, report
    assert report.version[0].isdigit()
