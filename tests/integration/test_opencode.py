"""The real opencode program against the scripted model server."""

import asyncio
from datetime import UTC, datetime

import pytest

from shiftwork.agents.events import AgentEvent, AgentEventKind, Problem
from shiftwork.agents.opencode import OpencodeBackend
from shiftwork.agents.protocol import AgentRequest, Conversation
from shiftwork.agents.run import run_agent_process
from shiftwork.contracts.session import FailureKind, InterruptionReason, RunStatus
from shiftwork.sandbox.choose import choose_sandbox
from tests.llm.programs import find_program_or_skip
from tests.llm.script import Drop, Fault, Reply, Usage, in_order
from tests.llm.server import LlmServer
from tests.unit.process_support import living, token, wait_until_dead

WRITE = Reply("I write", (("write", {"filePath": "a.txt", "content": "hello"}),), Usage(100, 10, 40))
DONE = Reply("done", usage=Usage(50, 5))


class Lab:
    """Runs opencode in a workspace, with the answers that a script gives."""

    def __init__(self, folder, home):
        self.folder = folder
        self.home = home
        self.program = find_program_or_skip("opencode")
        self.events: list[AgentEvent] = []

    async def run(self, *answers, conversation=None, stop=None, on_event=None, **settings):
        (self.folder / "workspace").mkdir(exist_ok=True)
        self.events = []

        async def listen(event: AgentEvent) -> None:
            self.events.append(event)
            if on_event:
                on_event(event)

        async with LlmServer(in_order(*answers)) as self.server:
            given = {"program": self.program, "model": "m", "base_url": f"{self.server.url}/v1"}
            request = AgentRequest(
                self.folder / "workspace",
                prompt="do the job",
                home=self.home,
                settings={**given, "environment": {"THE_KEY": "secret"}, "api_key": "THE_KEY", **settings},
                conversation=conversation,
            )
            return await run_agent_process(
                OpencodeBackend(),
                request,
                env={},
                sandbox=choose_sandbox(),
                timeout=100,
                on_event=listen,
                stop=stop,
                grace=3,
            )

    def of(self, kind):
        return [event for event in self.events if event.kind is kind]


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path, tmp_path / "home")


async def test_a_tool_is_used_and_counted(lab):
    """Otherwise no session of opencode would do, end or cost anything."""
    end = await lab.run(WRITE, DONE)
    assert end.status is RunStatus.COMPLETED, end
    assert (lab.folder / "workspace" / "a.txt").read_text() == "hello"
    used = lab.of(AgentEventKind.USAGE)
    assert [(each.input_tokens, each.output_tokens, each.cache_read_tokens) for each in used] == [
        (100, 10, 40),
        (50, 5, 0),
    ]
    assert {each.cost_usd for each in used} == {None}
    assert lab.of(AgentEventKind.STARTED)[0].conversation.startswith("ses_")
    assert lab.of(AgentEventKind.TOOL_RESULT)[0].ok
    assert {request.headers.get("authorization") for request in lab.server.requests} == {"Bearer secret"}
    assert "do the job" in lab.server.turns[-1].user_text


async def test_trouble_that_passes_is_survived_and_told(lab):
    """Otherwise a provider's hiccup would cost a session."""
    end = await lab.run(Fault(429, "slow down", {"retry-after": "1"}), WRITE, Drop(), DONE)
    assert end.status is RunStatus.COMPLETED, end
    assert [event for event in lab.of(AgentEventKind.TEXT) if "slow down" in event.text]


async def test_a_usage_limit_is_not_waited_out_by_the_program(lab):
    """Otherwise a session would hang in silence until the limit's reset, holding its place."""
    end = await lab.run(Fault(429, "usage limit", {"retry-after": "3600"}))
    # One that waits is ended by its timeout, and fails.
    assert (end.status, end.reason) == (RunStatus.INTERRUPTED, InterruptionReason.RATE_LIMITED)
    assert 3000 < (end.until - datetime.now(UTC)).total_seconds() <= 3600


async def test_refused_credentials(lab):
    """Otherwise a wrong key would cost attempts."""
    end = await lab.run(Fault(401, "wrong key"))
    assert end.reason is InterruptionReason.AUTHENTICATION
    assert end.message == "wrong key"


async def test_a_summary_of_the_conversation_ends_nothing(lab):
    """Otherwise its agent would be killed at work, and its session succeed, where a context gets full."""
    limit = {"limit": {"context": 200_000, "output": 32_000}}
    full = Reply("look", (("bash", {"command": "true", "description": "w"}),), Usage(190_000, 10))
    slow = Reply("work", (("bash", {"command": "sleep 4; echo done > late.txt", "description": "w"}),))
    end = await lab.run(full, slow, DONE, model_options=limit)
    assert end.status is RunStatus.COMPLETED, end
    assert (lab.folder / "workspace" / "late.txt").read_text() == "done\n"
    assert [event.ok for event in lab.of(AgentEventKind.FINISHED)] == [True]


async def test_no_request_goes_uncounted(lab):
    """Otherwise what the program asks beside the work, such as a title, would cost without a trace."""
    await lab.run(DONE)
    assert len(lab.server.turns) == len(lab.of(AgentEventKind.USAGE)) == 1


async def test_nothing_is_fetched_for_a_session(lab):
    """Otherwise each session would need npm's registry, wait for it, and keep 60 MB."""
    assert (await lab.run(DONE)).status is RunStatus.COMPLETED
    assert list((lab.home / ".config" / "opencode" / "node_modules").iterdir()) == []
    assert not (lab.home / ".npm").exists()


async def test_a_permission_that_nobody_can_give(lab):
    """Otherwise a run that was not allowed to work would look like a crash, or a success."""
    end = await lab.run(WRITE, DONE, permission_mode="ask")
    assert (end.status, end.failure.kind) == (RunStatus.FAILED, FailureKind.AGENT_FAILED)
    assert "'write'" in end.message
    assert lab.of(AgentEventKind.FINISHED)[0].problem is Problem.INVALID


async def test_a_conversation_goes_on(lab):
    """Otherwise an interrupted session would begin again from nothing."""
    await lab.run(WRITE, DONE)
    conversation = lab.of(AgentEventKind.STARTED)[0].conversation
    end = await lab.run(DONE, conversation=Conversation(conversation, resumed=True))
    assert end.status is RunStatus.COMPLETED, end
    assert lab.of(AgentEventKind.STARTED)[0].conversation == conversation
    assert lab.server.turns[-1].user_text.count("do the job") == 2
    assert len(lab.of(AgentEventKind.USAGE)) == 1


async def test_nothing_is_left_of_a_tool_that_never_ends(lab):
    """Otherwise a stopped session's commands would go on writing."""
    word, stop = token(), asyncio.Event()
    hang = Reply("", (("bash", {"command": f"sleep {word}", "description": "wait"}),))

    async def stop_when_it_runs() -> None:
        while not living(word):  # noqa: ASYNC110 - another process's beginning sets no event
            await asyncio.sleep(0.05)
        stop.set()

    watching = asyncio.create_task(stop_when_it_runs())
    end = await lab.run(hang, DONE, stop=stop)
    await watching
    assert (end.status, end.stopped) == (RunStatus.INTERRUPTED, True)
    assert wait_until_dead(word) == []


def test_the_program_is_found_usable():
    """Otherwise `doctor` would tell people to install what they have."""
    program = find_program_or_skip("opencode")
    report = OpencodeBackend().diagnose({"program": program, "model": "some/model"})
    assert report.usable, report
    assert report.version[0].isdigit()
