"""The `command` backend, with small real programs in the place of an agent."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from shiftwork.agents.command import CommandBackend, ProseLines
from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.agents.protocol import AgentRequest
from shiftwork.agents.registry import find_backend
from shiftwork.agents.run import AgentEnd, run_agent_process
from shiftwork.contracts.session import FailureKind, RunStatus
from shiftwork.errors import InvalidInput
from shiftwork.sandbox.choose import choose_sandbox


async def run(folder: Path, argv: list[str], **settings: Any) -> tuple[AgentEnd, list[AgentEvent]]:
    """Run a program with the prompt "hello"; it is stopped once it says "stop me"."""
    request = AgentRequest(
        folder,
        "hello",
        brief=folder / "the brief",
        outbox=folder / "outbox",
        home=folder,
        settings={"argv": argv, **settings},
    )
    events: list[AgentEvent] = []
    stop = asyncio.Event()

    async def listen(event: AgentEvent) -> None:
        events.append(event)
        if event.text == "stop me":
            stop.set()

    end = await run_agent_process(
        CommandBackend(), request, env={}, sandbox=choose_sandbox(), timeout=30, on_event=listen, stop=stop
    )
    return end, events


def shell(script: str, *arguments: str) -> list[str]:
    return ["sh", "-c", script.replace("{", "{{").replace("}", "}}"), "sh", *arguments]


async def test_prose_and_success(tmp_path):
    """If it failed, a plain program could not be an agent."""
    end, events = await run(tmp_path, shell("cat; echo; echo $HOME; printf last"))
    assert [event.text for event in events] == ["hello", str(tmp_path), "last", ""]
    assert events[-1] == AgentEvent(kind=AgentEventKind.FINISHED, ok=True)
    assert end.status is RunStatus.COMPLETED


async def test_a_failing_program(tmp_path):
    """If it failed, work would be verified that the program itself gave up."""
    end, _ = await run(tmp_path, shell("exit 7"))
    assert end.failure.kind is FailureKind.AGENT_FAILED
    assert end.message == "The program ended with exit status 7."


@pytest.mark.parametrize(
    ("script", "status", "failure"),
    [
        ("echo stop me; sleep 1000", RunStatus.INTERRUPTED, None),
        ("kill -9 $$", RunStatus.FAILED, FailureKind.AGENT_CRASHED),
    ],
)
async def test_a_program_that_a_signal_ends(tmp_path, script, status, failure):
    """If it failed, a pause would cost an attempt, or a crash count as the program's own word."""
    end, _ = await run(tmp_path, shell(script))
    assert end.status is status
    assert (end.failure and end.failure.kind) == failure


@pytest.mark.parametrize("status", [193, 255])
async def test_a_status_that_no_signal_has(tmp_path, status):
    """If it failed, a program that gave up in its own words would count as one that crashed."""
    end, _ = await run(tmp_path, shell(f"exit {status}"))
    assert end.failure.kind is FailureKind.AGENT_FAILED


async def test_events(tmp_path):
    """If it failed, a program that speaks our events could not ask, spend or finish."""
    said = [{"kind": "usage", "input_tokens": 3}, {"kind": "finished", "ok": True}]
    script = "".join(f"echo '{json.dumps(event)}';" for event in said) + "echo other; exit 9"
    end, events = await run(tmp_path, shell(script), events="jsonl")
    assert [event.kind.value for event in events] == ["usage", "finished"]
    assert end.status is RunStatus.COMPLETED
    end, _ = await run(tmp_path, shell("exit 0"), events="jsonl")
    assert end.failure.kind is FailureKind.AGENT_CRASHED


@pytest.mark.parametrize("argument", ["{prompt}", None])
async def test_places(tmp_path, argument):
    """If it failed, a program could not be told its prompt, its folders or its model."""
    show = "import sys; print(sys.argv[1:], repr(sys.stdin.read()))"
    places = ["--in={workspace}:{brief}", "{outbox}", "{{model}}", "{model}"]
    argv = [sys.executable, "-c", show, *places, *([argument] if argument else [])]
    _, events = await run(tmp_path, argv, prompt="argument", model="m1")
    given = [f"--in={tmp_path}:{tmp_path}/the brief", f"{tmp_path}/outbox", "{model}", "m1", "hello"]
    assert events[0].text == f"{given} ''"


def test_arguments_and_environment(tmp_path, monkeypatch):
    """If it failed, settings that every backend has would be ignored by this one."""
    monkeypatch.setenv("KEY_OF_MINE", "k")
    settings = {
        "argv": ["p", "{brief}"],
        "arguments": ["{not a place}"],
        "environment": {"A": "1"},
        "pass_environment": ["KEY_OF_MINE", "NOT_SET"],
        "prompt": "none",
    }
    command = CommandBackend().command(AgentRequest(tmp_path, "p", settings=settings))
    assert command.argv == ("p", "", "{not a place}")
    assert command.env == {"KEY_OF_MINE": "k", "A": "1"}
    assert command.stdin == b""


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "'argv'"),
        ({"argv": []}, "'argv'"),
        ({"argv": ["p", "{promt}"]}, "unknown place {promt}; known are {prompt}, {brief}"),
        ({"argv": ["p", "{prompt.x}"]}, "unknown place"),
        ({"argv": ["p", "{"]}, "lone brace"),
        ({"argv": ["p", "{prompt}"]}, "'prompt' has to be 'argument'"),
        ({"argv": ["p"], "model": "m"}, "need each other"),
        ({"argv": ["p", "{model}"]}, "need each other"),
        ({"argv": ["p"], "events": "xml"}, "'events'"),
        ({"argv": ["p"], "tools": ["bash"]}, "no use for the setting 'tools'"),
        ({"argv": ["p"], "speed": 3}, "no setting 'speed'"),
    ],
)
def test_wrong_settings_are_refused(settings, sentence):
    """If it failed, a mistake would be found by the first session, in the background."""
    with pytest.raises(InvalidInput, match=sentence):
        find_backend("command").check(settings)


def test_a_prompt_too_long_for_an_argument(tmp_path):
    """If it failed, a long brief would end a session with an error of the operating system."""
    request = AgentRequest(tmp_path, "x" * 200_000, settings={"argv": ["p"], "prompt": "argument"})
    with pytest.raises(InvalidInput, match="200000 bytes, too many for an argument"):
        CommandBackend().command(request)


def test_lines_that_say_nothing():
    """If it failed, blank lines would fill the transcript, or a stray byte end the run."""
    reader = ProseLines()
    assert list(reader.read(b"  \t\r")) == []
    assert [event.text for event in reader.read(b"\x1b[1mbold\xff")] == ["[1mbold\ufffd"]


def test_diagnosis():
    """If it failed, `shiftwork doctor` would promise a program that is not there."""
    backend = find_backend("command")
    assert backend.diagnose({}).usable
    assert backend.diagnose({"argv": ["sh"]}).program
    assert "'no-such-program' was not found" in backend.diagnose({"argv": ["no-such-program"]}).problems[0]
