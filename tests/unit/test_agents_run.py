"""What the end of an agent means, told by small programs in the place of an agent."""

import asyncio
import json
import sys

import pytest

from shiftwork.agents.events import AgentEvent
from shiftwork.agents.protocol import AgentCommand, AgentRequest
from shiftwork.agents.run import run_agent_process
from shiftwork.agents.scripted import ScriptedBackend
from shiftwork.contracts.session import FailureKind, InterruptionReason, RunStatus
from shiftwork.sandbox.choose import choose_sandbox


class ProgramBackend(ScriptedBackend):
    """Speaks the scripted agent's protocol; the program itself is given."""

    def __init__(self, code: str) -> None:
        self._code = code

    def command(self, request: AgentRequest) -> AgentCommand:
        return AgentCommand((sys.executable, "-c", self._code), {"GREETING": "hi"}, b"prompt")


def says(*events: dict) -> str:
    lines = [json.dumps(event) for event in events]
    return "".join(f"print({line!r}, flush=True)\n" for line in lines)


async def end_of(tmp_path, code: str, **options):
    events: list[AgentEvent] = []

    async def listen(event: AgentEvent) -> None:
        events.append(event)

    settings = {"env": {"EXTRA": "1"}, "timeout": 200, "grace": 0.2, **options}
    end = await run_agent_process(
        ProgramBackend(code),
        AgentRequest(tmp_path, brief=tmp_path / "brief", outbox=tmp_path / "outbox"),
        sandbox=choose_sandbox(),
        on_event=listen,
        **settings,
    )
    return end, events


DONE = {"kind": "finished", "ok": True}
FAILED = {"kind": "finished", "ok": False, "text": "no idea"}
LIMITED = {"kind": "rate_limited"}
REFUSED_KEY = {**FAILED, "problem": "authentication"}
OVERLOADED = {**FAILED, "problem": "unavailable"}
INVALID = {**FAILED, "problem": "invalid"}
SPENT = {"kind": "usage", "output_tokens": 3}
DECLINED = {**FAILED, "problem": "refused"}
AT_ITS_LIMIT = {**FAILED, "problem": "limit"}
HANG = "import time; time.sleep(1000)\n"


@pytest.mark.parametrize(
    ("code", "status", "failure"),
    [
        (says(DONE), RunStatus.COMPLETED, None),
        (says(DONE) + "import os; os.kill(os.getpid(), 9)", RunStatus.COMPLETED, None),
        (says(DONE) + HANG, RunStatus.COMPLETED, None),
        (says(LIMITED, DONE), RunStatus.COMPLETED, None),
        (says(REFUSED_KEY), RunStatus.INTERRUPTED, None),
        (says(OVERLOADED), RunStatus.INTERRUPTED, None),
        (says(INVALID), RunStatus.INTERRUPTED, None),
        (says(SPENT, INVALID), RunStatus.FAILED, FailureKind.AGENT_FAILED),
        (says(DECLINED), RunStatus.FAILED, FailureKind.AGENT_REFUSED),
        (says(AT_ITS_LIMIT), RunStatus.FAILED, FailureKind.AGENT_LIMIT),
        (says(LIMITED) + HANG, RunStatus.INTERRUPTED, None),
        (says(LIMITED, FAILED), RunStatus.INTERRUPTED, None),
        (says({"kind": "question", "text": "?"}, DONE), RunStatus.INTERRUPTED, None),
        (says(FAILED), RunStatus.FAILED, FailureKind.AGENT_FAILED),
        (says(FAILED) + HANG, RunStatus.FAILED, FailureKind.AGENT_FAILED),
        ("", RunStatus.FAILED, FailureKind.AGENT_CRASHED),
        ("raise SystemExit('went wrong')", RunStatus.FAILED, FailureKind.AGENT_CRASHED),
    ],
)
async def test_the_terminal_event_decides(tmp_path, code, status, failure):
    """Otherwise a crash would count as success, or a success as a crash."""
    end, _ = await end_of(tmp_path, code)
    assert end.status is status
    assert (end.failure.kind if end.failure else None) is failure
    assert end.duration < 150
    assert end.until is None
    assert not end.stopped


class WaitingBackend(ProgramBackend):
    """Its reader tells at the end what was waited for."""

    def reader(self, request: AgentRequest) -> "WaitingBackend":
        return self

    def read(self, line: bytes) -> tuple[AgentEvent, ...]:
        return ()

    def end(self, exit_status: int) -> tuple[AgentEvent, ...]:
        return (AgentEvent(kind="rate_limited"), AgentEvent(kind="finished", ok=True))


@pytest.mark.parametrize(
    ("stopped", "status", "failure", "reason"),
    [
        (False, RunStatus.INTERRUPTED, None, InterruptionReason.RATE_LIMITED),
        (True, RunStatus.INTERRUPTED, None, None),
    ],
)
async def test_silence_is_told_by_what_was_waited_for(tmp_path, stopped, status, failure, reason):
    """Otherwise a provider's limit would cost an attempt, or a stop be taken for one; success it is never."""
    stop = asyncio.Event()
    if stopped:
        asyncio.get_running_loop().call_later(0.3, stop.set)
    end = await run_agent_process(
        WaitingBackend(HANG),
        AgentRequest(tmp_path),
        env={},
        sandbox=choose_sandbox(),
        timeout=1,
        grace=0.2,
        on_event=_nothing,
        stop=stop,
    )
    assert (end.status, end.failure, end.reason) == (status, failure, reason)


async def _nothing(event: AgentEvent) -> None:
    pass


async def test_the_message_says_what_went_wrong(tmp_path):
    """Otherwise the next attempt would not know what to do better."""
    failed, _ = await end_of(tmp_path, says({"kind": "error", "text": "first"}, FAILED))
    assert failed.message == "no idea"
    crashed, _ = await end_of(tmp_path, "raise SystemExit('\\x1b[31mwent wrong')")
    assert "status 1" in crashed.message
    assert crashed.message.endswith("went wrong")
    assert "\x1b" not in crashed.message
    long, _ = await end_of(tmp_path, says({"kind": "error", "text": "x" * 100_000}, DONE))
    assert len(long.message) == 2000


async def test_the_agent_gets_its_folders_and_little_else(tmp_path):
    """Otherwise an agent would not find its brief, or would find the worker's secrets."""
    facts = "{'kind': 'text', 'data': {**os.environ}, 'text': sys.stdin.read()}"
    code = f"import json, os, sys; print(json.dumps({facts}))\n"
    end, events = await end_of(tmp_path, code + says(DONE), tools=tmp_path / "tools")
    env = events[0].data
    assert events[0].text == "prompt"
    assert env["SHIFTWORK_BRIEF"] == str(tmp_path / "brief")
    assert env["SHIFTWORK_OUTBOX"] == str(tmp_path / "outbox")
    assert (env["GREETING"], env["EXTRA"]) == ("hi", "1")
    assert env["PATH"].startswith(str(tmp_path / "tools"))
    assert not [name for name in env if name.startswith("PYTEST")]
    assert end.status is RunStatus.COMPLETED


async def test_events_on_standard_error_do_not_count(tmp_path):
    """Otherwise a log line could end a session successfully."""
    end, events = await end_of(tmp_path, f"import sys; print({json.dumps(DONE)!r}, file=sys.stderr)")
    assert events == []
    assert end.failure.kind is FailureKind.AGENT_CRASHED
