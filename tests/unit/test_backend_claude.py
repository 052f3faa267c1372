"""Claude Code as a backend, on lines that the real program printed (shortened)."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shiftwork.agents.claude import ClaudeBackend
from shiftwork.agents.claude_reader import ClaudeReader
from shiftwork.agents.events import AgentEvent, AgentEventKind, Problem
from shiftwork.agents.protocol import AgentRequest, Conversation
from shiftwork.contracts.session import Spent
from shiftwork.errors import InvalidInput

INIT = (
    '{"type":"system","subtype":"init","cwd":"/w","session_id":"50fa","tools":["Bash"],'
    '"model":"claude-opus-5-5","permissionMode":"bypassPermissions","claude_code_version":"2.1.330"}'
)
TEXT = (
    '{"type":"assistant","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-opus-5-5",'
    '"content":[{"type":"text","text":"I\'ll write"}],"usage":{"input_tokens":100,"output_tokens":1,'
    '"cache_read_input_tokens":0,"cache_creation_input_tokens":0}},"parent_tool_use_id":null,"session_id":"50fa"}'
)
TOOL = (
    '{"type":"assistant","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-opus-5-5",'
    '"content":[{"type":"tool_use","id":"toolu_1","name":"Write","input":{"file_path":"hello.txt"}}],'
    '"usage":{"input_tokens":100,"output_tokens":1,"cache_read_input_tokens":0,"cache_creation_input_tokens":0}},'
    '"parent_tool_use_id":null,"session_id":"50fa"}'
)
RETURNED = (
    '{"type":"user","message":{"role":"user","content":[{"tool_use_id":"toolu_1","type":"tool_result",'
    '"content":"usage limit reached, status 429"}]},"parent_tool_use_id":null,"session_id":"50fa"}'
)
LIMIT_EVENT = (
    '{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1795278450,'
    '"rateLimitType":"five_hour","isUsingOverage":false},"session_id":"50fa"}'
)
MAX_TURNS = (
    '{"stop_reason":"tool_use","session_id":"50fa","total_cost_usd":0,"usage":{},"terminal_reason":"max_turns",'
    '"is_error":true,"num_turns":3,"subtype":"error_max_turns",'
    '"errors":["Reached maximum number of turns (2)"],"type":"result"}'
)
REFUSAL = (
    '{"stop_reason":"refusal","session_id":"50fa","total_cost_usd":0,"usage":{},"terminal_reason":"api_error",'
    '"is_error":true,"subtype":"success","api_error_status":null,"result":"API Error","type":"result"}'
)

_LOGIN = "CLAUDE_CODE_OAUTH_TOKEN"


def result(*, per_model: bool = True, **changes) -> str:
    """A `result` line; `per_model`: newer versions add up what this run alone used."""
    said = {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "result": "Done",
        "session_id": "50fa",
        "stop_reason": "end_turn",
        "terminal_reason": "completed",
        "total_cost_usd": 0.9,
        "usage": {"input_tokens": 300, "output_tokens": 30},
        "api_error_status": None,
    }
    if per_model:
        used = {"inputTokens": 400, "outputTokens": 40, "cacheReadInputTokens": 7, "costUSD": 0.5}
        said["model_usage_since_last_result"] = {"claude-opus-5-5": used}
    return json.dumps(said | changes)


def failed(error: str, status: int | None, **more) -> tuple[str, str]:
    """The two lines with which the program gives up."""
    api = {"session_id": "50fa", "api_error_status": status, **more}
    message = {"model": "<synthetic>", "content": [{"type": "text", "text": "API Error"}]}
    said = {"type": "assistant", "message": message, "error": error, "is_api_error_message": True, **api}
    return json.dumps(said), result(is_error=True, result="API Error", terminal_reason="api_error", **api)


def retry(status: int | None, attempt: int) -> str:
    said = {"type": "system", "subtype": "api_retry", "attempt": attempt, "max_retries": 4}
    return json.dumps(said | {"error_status": status, "error": "authentication_failed"})


def read(*lines: str, conversation: Conversation | None = None) -> list[AgentEvent]:
    reader = ClaudeReader(conversation)
    return [event for line in lines for event in reader.read(line.encode())]


def of(events: list[AgentEvent], kind: AgentEventKind) -> list[AgentEvent]:
    return [event for event in events if event.kind is kind]


def test_a_run_becomes_events():
    """Otherwise people could not watch, and success would not be seen."""
    events = read(INIT, TEXT, TOOL, RETURNED, result(), "npm noise", '{"type":"cut at the')
    kinds = [event.kind.value for event in events]
    assert kinds == ["started", "text", "usage", "tool_use", "tool_result", "usage", "finished"]
    assert (events[0].model, events[0].conversation) == ("claude-opus-5-5", "50fa")
    assert events[3].data == {"file_path": "hello.txt"}
    assert events[4].ok
    assert (events[-1].ok, events[-1].text) == (True, "Done")


@pytest.mark.parametrize(("per_model", "tokens"), [(True, (400, 40, 7)), (False, (300, 30, 0))])
def test_usage_adds_up_to_what_the_result_says(per_model, tokens):
    """Otherwise a message of several blocks would be counted twice, or a sub-agent not at all."""
    conversation = Conversation("50fa", resumed=True, counted=Spent(cost_usd=0.4))
    used = of(read(TEXT, TOOL, result(per_model=per_model), conversation=conversation), AgentEventKind.USAGE)
    sums = [
        sum(getattr(event, f"{name}_tokens") for event in used) for name in ("input", "output", "cache_read")
    ]
    assert tuple(sums) == tokens
    assert sum(event.cost_usd or 0 for event in used) == pytest.approx(0.5)


def test_usage_is_never_negative():
    """Otherwise a resumed conversation could give money back."""
    conversation = Conversation("50fa", resumed=True, counted=Spent(cost_usd=5))
    used = of(read(TEXT, result(per_model=False, usage={}), conversation=conversation), AgentEventKind.USAGE)
    assert all(event.input_tokens >= 0 and (event.cost_usd or 0) >= 0 for event in used)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (failed("authentication_failed", 401), Problem.AUTHENTICATION),
        (failed("authentication_failed", None), Problem.AUTHENTICATION),
        (failed("billing_error", 400), Problem.AUTHENTICATION),
        (failed("unknown", 402), Problem.AUTHENTICATION),
        (failed("overloaded", 529), Problem.UNAVAILABLE),
        (failed("server_error", None, api_error="connection_failed"), Problem.UNAVAILABLE),
        (failed("unknown", 400), Problem.INVALID),
        (failed("invalid_request", 404), Problem.INVALID),
        (failed("invalid_request", 413), Problem.LIMIT),
        ((MAX_TURNS,), Problem.LIMIT),
        ((REFUSAL,), Problem.REFUSED),
        ((result(is_error=True, subtype="error_during_execution"),), None),
    ],
)
def test_failures_are_told_apart(lines, problem):
    """Otherwise an attempt would be spent on what only time or a person can help."""
    (finished,) = of(read(RETURNED, *lines), AgentEventKind.FINISHED)
    assert (finished.ok, finished.problem) == (False, problem)
    assert finished.text


@pytest.mark.parametrize(
    ("lines", "until"),
    [
        ((LIMIT_EVENT, *failed("rate_limit", 429)), datetime.fromtimestamp(1795278450, UTC)),
        (failed("rate_limit", 429), None),
        ((LIMIT_EVENT.replace("rejected", "allowed_warning"), *failed("rate_limit", 429)), None),
    ],
)
def test_limits_say_until_when(lines, until):
    """Otherwise a project would wait too short, or for ever."""
    events = read(*lines)
    assert [event.until for event in of(events, AgentEventKind.RATE_LIMITED)] == [until]
    assert not of(events, AgentEventKind.FINISHED)


def test_a_limit_in_the_output_of_a_tool_is_no_limit():
    """Otherwise a project about rate limits could never be built."""
    assert read(RETURNED, result())[-1].ok


def test_credentials_refused_twice_end_the_run():
    """Otherwise a wrong key would be tried for a minute, and again by each attempt."""
    first, second = read(retry(401, 1), retry(401, 2), *failed("authentication_failed", 401))[:2]
    assert first.kind is AgentEventKind.TEXT
    assert (second.kind, second.problem) == (AgentEventKind.FINISHED, Problem.AUTHENTICATION)
    busy = read(retry(529, 1), retry(529, 2))
    assert [event.kind for event in busy] == [AgentEventKind.TEXT] * 2


def program_in(folder: Path) -> str:
    program = folder / "claude"
    program.write_text("#!/bin/sh\necho '9.9.9 (Claude Code)'\n")
    program.chmod(0o755)
    return str(program)


def test_secrets_travel_in_the_environment_alone(tmp_path):
    """Otherwise every user of the machine could read them in the list of processes."""
    environ = {"PATH": str(tmp_path), "ANTHROPIC_API_KEY": "secret-key", "OTHER": "x"}
    program = program_in(tmp_path)
    settings = {"model": "sonnet", "max_turns": 7, "base_url": "http://127.0.0.1:1", "arguments": ["--bare"]}
    request = AgentRequest(tmp_path, "the prompt", "be kind", home=tmp_path / "home", settings=settings)
    command = ClaudeBackend(environ).command(request)
    assert command.argv[0] == program
    assert not [word for word in command.argv if "secret-key" in word or "prompt" in word.split()]
    assert command.argv[-1] == "--bare"
    assert command.stdin == b"the prompt"
    assert command.env["ANTHROPIC_API_KEY"] == "secret-key"
    assert command.env["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:1"
    assert command.env["HOME"] == str(tmp_path / "home")
    assert "OTHER" not in command.env
    other = ClaudeBackend(environ).command(AgentRequest(tmp_path, settings={"pass_environment": ["OTHER"]}))
    assert other.env["OTHER"] == "x"
    assert other.env["ANTHROPIC_API_KEY"] == "secret-key"


def test_a_named_credential_is_the_only_one(tmp_path):
    """Otherwise a project could not choose a login where the worker has a key as well."""
    program_in(tmp_path)
    environ = {"PATH": str(tmp_path), "ANTHROPIC_API_KEY": "key", "CLAUDE_CODE_OAUTH_TOKEN": "login"}
    for named in ({"pass_environment": [_LOGIN]}, {"environment": {_LOGIN: "login"}}):
        request = AgentRequest(tmp_path, settings=named)
        env = ClaudeBackend(environ).command(request).env
        assert (env.get("ANTHROPIC_API_KEY"), env[_LOGIN]) == (None, "login")
        assert ClaudeBackend(environ).provider(named).credential == "login"


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"max_turns": 0}, "max_turns"), ({"modell": "x"}, "modell"), ({"max_retries": "often"}, "max_retries")],
)
def test_wrong_settings_are_refused_by_name(settings, named):
    """Otherwise a typing error would show only as a session that fails."""
    with pytest.raises(InvalidInput, match=named):
        ClaudeBackend().check(settings)


def test_a_missing_program_or_key_is_one_sentence(tmp_path):
    """Otherwise people would not know what to install, or what to set."""
    nothing = ClaudeBackend({"PATH": str(tmp_path)})
    missing = nothing.diagnose({"program": "claude-none"})
    assert not missing.usable
    assert "npm install" in missing.problems[0]
    with pytest.raises(InvalidInput, match="was not found"):
        nothing.command(AgentRequest(tmp_path, settings={"program": "claude-none"}))
    program = program_in(tmp_path)
    keyless = nothing.diagnose({})
    assert (keyless.program, keyless.version) == (program, "9.9.9")
    assert ["ANTHROPIC_API_KEY" in problem for problem in keyless.problems] == [True]
    assert ClaudeBackend({"PATH": str(tmp_path), "ANTHROPIC_API_KEY": "k"}).diagnose({}).usable
