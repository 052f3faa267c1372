"""What Codex is started with, and what its lines mean."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from shiftwork.agents.codex import CodexBackend
from shiftwork.agents.codex_errors import end_of
from shiftwork.agents.codex_reader import CodexReader
from shiftwork.agents.codex_rollout import Rollout
from shiftwork.agents.events import AgentEventKind, Problem
from shiftwork.agents.protocol import AgentRequest, Conversation
from shiftwork.contracts.session import Spent
from shiftwork.errors import InvalidInput

NOW = datetime(2026, 11, 21, 14, 23, 30, tzinfo=UTC)
LIMIT = "You’ve hit your usage limit. Visit https://example.com or try again at"
THREAD = "01a1fe80-0bf9-7a03-9055-2eae7749c8af"


def line(kind: str, **facts) -> bytes:
    return json.dumps({"type": kind, **facts}).encode()


def reader(tmp_path, **options) -> CodexReader:
    return CodexReader(lambda thread: Rollout(tmp_path, thread), now=lambda: NOW, **options)


def heard(reader: CodexReader, *lines: bytes) -> list:
    return [event for each in lines for event in reader.read(each)]


def command(tmp_path, environ=None, **options):
    backend = CodexBackend({"HOME": str(tmp_path), "PATH": "/nowhere", **(environ or {})})
    return backend.command(AgentRequest(tmp_path, home=tmp_path / "home", **options))


@pytest.mark.parametrize(
    ("message", "until"),
    [
        (f"{LIMIT} 10:26 PM.", datetime(2026, 11, 21, 22, 27, tzinfo=UTC)),
        (f"{LIMIT} 1:26 AM.", datetime(2026, 11, 22, 1, 27, tzinfo=UTC)),
        (f"{LIMIT} 2:00 PM.", datetime(2026, 11, 21, 14, 1, tzinfo=UTC)),
        ("You’ve hit your usage limit. Try again in 2 days 3 hours.", NOW + timedelta(days=2, hours=3)),
        (f"{LIMIT} Nov 24th, 2026 6:00 AM.", datetime(2026, 11, 24, 6, 1, tzinfo=UTC)),
        (f"{LIMIT} Foo 99th, 2026 6:00 AM.", NOW + timedelta(minutes=15)),
        ("You’ve hit your usage limit. Try again later.", NOW + timedelta(minutes=15)),
        ("rate limit exceeded: Please try again in 1.5s.", NOW + timedelta(seconds=1.5)),
        ("Rate limit exceeded. Please try again in 6m0s.", NOW + timedelta(minutes=6)),
        ("Rate limit exceeded. Please try again in 1h2m", NOW + timedelta(minutes=62)),
        ("Rate limit exceeded. Try again in 1d 2h 3m 4.5s now", NOW + timedelta(hours=26, seconds=184.5)),
        ("Rate limit exceeded. Please try again in 120ms.", NOW + timedelta(seconds=0.12)),
        ("Rate limit exceeded. Please try again in 5 minutes, 1 second.", NOW + timedelta(seconds=301)),
        ("Rate limit exceeded. Please try again in 5 moons.", None),
        ("exceeded retry limit, last status: 429 Too Many Requests", None),
    ],
)
def test_a_limit_says_until_when(message, until):
    """Otherwise a project would wait for too long, or ask again and again."""
    event = end_of(message, NOW)
    assert (event.kind, event.until) == (AgentEventKind.RATE_LIMITED, until)


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("unexpected status 401 Unauthorized: Incorrect API key", Problem.AUTHENTICATION),
        ("unexpected status 403 Forbidden: No access.", Problem.AUTHENTICATION),
        ("Quota exceeded. Check your plan and billing details.", Problem.AUTHENTICATION),
        ("Missing environment variable: `CODEX_API_KEY`.", Problem.AUTHENTICATION),
        ("unexpected status 503 Service Unavailable: over", Problem.UNAVAILABLE),
        ("unexpected status 408 Request Timeout: slow", Problem.UNAVAILABLE),
        ("unexpected status 409 Conflict: busy", Problem.UNAVAILABLE),
        ("unexpected status 425 Too Early: wait", Problem.UNAVAILABLE),
        ("unexpected status 413 Payload Too Large: long", Problem.LIMIT),
        ("We’re currently experiencing high demand, which may cause errors.", Problem.UNAVAILABLE),
        ("Selected model is at capacity. Please try a different model.", Problem.UNAVAILABLE),
        ("stream disconnected before completion: error sending request", Problem.UNAVAILABLE),
        ("stream disconnected before completion: reason: content_filter", Problem.REFUSED),
        ("This content was flagged for possible cybersecurity risk.", Problem.REFUSED),
        ("unexpected status 404 Not Found: The model x does not exist", Problem.INVALID),
        ('{"error": {"message": "bad", "code": "x"}}', Problem.INVALID),
        ('{"detail": "model x is not supported"}', Problem.INVALID),
        ('{"error": {"message": "long", "code": "context_length_exceeded"}}', Problem.LIMIT),
        ("Codex ran out of room in the model's context window.", Problem.LIMIT),
        ("Incomplete response returned, reason: max_output_tokens", Problem.LIMIT),
        ("something new", None),
        ("{broken", None),
    ],
)
def test_each_failure_is_of_its_kind(message, problem):
    """Otherwise a wrong key would cost attempts, or a broken request be repeated for ever."""
    event = end_of(message, NOW)
    assert (event.kind, event.ok, event.problem) == (AgentEventKind.FINISHED, False, problem)
    assert event.text


def test_remarks_and_retries_end_nothing(tmp_path):
    """Otherwise a hiccup that Codex gets over would end the session."""
    usage = {"input_tokens": 100, "cached_input_tokens": 20, "output_tokens": 7}
    events = heard(
        reader(tmp_path),
        b"no json",
        b"[]",
        b'{"type": []}',
        line("thread.started", thread_id=THREAD),
        line("item.completed", item={"type": "error", "message": "Model metadata not found."}),
        line("error", message="Reconnecting... 1/5 (stream disconnected)"),
        line("item.completed", item={"id": "1", "type": "agent_message", "text": "Done."}),
        line("turn.completed", usage=usage),
        line("turn.failed", error={"message": "too late"}),
    )
    kinds = [event.kind.value for event in events]
    assert kinds == ["started", "text", "text", "text", "usage", "finished"]
    assert events[-1].ok
    assert (events[4].input_tokens, events[4].cache_read_tokens, events[4].output_tokens) == (80, 20, 7)


@pytest.mark.parametrize(
    ("message", "kind", "problem"),
    [
        ("exceeded retry limit, last status: 429 Too Many Requests", AgentEventKind.RATE_LIMITED, None),
        ("unexpected status 503 Service Unavailable: busy", AgentEventKind.FINISHED, Problem.UNAVAILABLE),
    ],
)
def test_what_it_waited_for_is_told_when_it_is_ended(tmp_path, message, kind, problem):
    """Otherwise a provider that asks for hours of patience would cost attempts."""
    run = reader(tmp_path)
    waits = line("error", message=f"Reconnecting... 1/5 ({message})")
    heard(run, line("thread.started", thread_id=THREAD), waits)
    assert [(event.kind, event.problem) for event in run.end(143)] == [(kind, problem)]
    heard(run, line("item.completed", item={"id": "1", "type": "agent_message", "text": "I go on."}))
    assert list(run.end(143)) == []


def test_only_the_known_conversation_has_been_counted(tmp_path):
    """Otherwise a conversation started anew would seem to cost nothing."""
    counted = Spent(input_tokens=60, output_tokens=7)
    done = line("turn.completed", usage={"input_tokens": 100, "output_tokens": 7})
    talk = Conversation(THREAD, resumed=True, counted=counted)
    for thread, tokens in ((THREAD, 40), ("another", 100)):
        run = reader(tmp_path, conversation=talk)
        events = heard(run, line("thread.started", thread_id=thread), done)
        assert events[1].input_tokens == tokens


def test_usage_is_told_while_it_works_and_after_a_kill(tmp_path):
    """Otherwise a killed attempt would cost nothing, and a budget would be noticed only afterwards."""
    folder = tmp_path / "sessions" / "2026" / "11" / "21"
    folder.mkdir(parents=True)
    file = folder / f"rollout-2026-11-21T14-00-00-{THREAD}.jsonl"
    sums = {"input_tokens": 30, "cached_input_tokens": 10, "output_tokens": 2}
    file.write_bytes(
        line("turn_context", payload={"model": "gpt-x"}) + b"\n" + b'{"x_usage": ' + b"\n"
        + line("token_usage_record", payload={"thread_token_usage": sums}) + b"\n"
    )  # fmt: skip
    run = reader(tmp_path)
    started = heard(run, line("thread.started", thread_id=THREAD))
    assert [event.kind for event in started] == [AgentEventKind.STARTED]
    tool = {"id": "1", "type": "command_execution", "command": "ls"}
    use, usage = heard(run, line("item.started", item=tool))
    assert (use.text, use.data) == ("command_execution", {"command": "ls"})
    assert (usage.input_tokens, usage.cache_read_tokens, usage.model) == (20, 10, "gpt-x")
    more = {"info": {"total_token_usage": {**sums, "output_tokens": 9}}, "type": "token_count"}
    with file.open("ab") as end:
        end.write(line("event_msg", payload=more) + b"\n" + b'{"cut": "_usage"')
    (last,) = run.end(137)
    assert (last.input_tokens, last.output_tokens) == (0, 7)


def test_no_secret_is_among_the_arguments(tmp_path):
    """Otherwise everybody on the machine could read the key."""
    made = command(tmp_path, {"OPENAI_API_KEY": "sk-secret"}, prompt="Hi", system_prompt='a "b"\n')
    assert not [part for part in made.argv if "sk-secret" in part]
    assert made.env["OPENAI_API_KEY"] == "sk-secret"
    assert made.env["CODEX_HOME"] == str(tmp_path / "home" / ".codex")
    assert made.stdin == b"Hi"
    assert 'developer_instructions="a \\"b\\"\\n"' in made.argv
    assert made.argv[-1] == "-"


def test_a_login_stays_the_users(tmp_path):
    """Otherwise a subscription could not be used, or its tokens would go stale in a copy."""
    own = tmp_path / ".codex"
    own.mkdir()
    (own / "auth.json").write_text("{}")
    for _ in range(2):
        made = command(tmp_path)
    assert (tmp_path / "home" / ".codex" / "auth.json").readlink() == own / "auth.json"
    assert "requires_openai_auth=true" in " ".join(made.argv)


def test_settings_reach_the_program(tmp_path):
    """Otherwise a project's wishes would be dropped in silence."""
    settings = {"permission_mode": "workspace-write", "max_retries": 2, "arguments": ["--ephemeral"]}
    environ = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "CODEX_API_KEY": "k", "OTHER": "no"}
    made = command(tmp_path, environ, settings=settings, outbox=tmp_path / "outbox")
    said = " ".join(made.argv)
    assert 'sandbox_mode="workspace-write"' in said
    assert f'sandbox_workspace_write.writable_roots=["{tmp_path / "outbox"}"]' in said
    assert "stream_max_retries=2" in said
    assert 'base_url="http://127.0.0.1:9/v1"' in said
    assert "--ephemeral" in made.argv
    assert "OTHER" not in made.env


@pytest.mark.parametrize(
    "settings", [{"tools": ["Bash"]}, {"permission_mode": "yolo"}, {"max_retries": -1}, {"unknown": 1}]
)
def test_wrong_settings_are_refused_by_name(settings):
    """Otherwise a mistake would show only when a session runs."""
    with pytest.raises(InvalidInput, match=next(iter(settings))):
        CodexBackend({}).check(settings)


def test_a_diagnosis_says_what_to_do(tmp_path):
    """Otherwise nobody would know why sessions can't start."""
    backend = CodexBackend({"HOME": str(tmp_path), "PATH": "/nowhere"})
    missing = backend.diagnose({"program": str(tmp_path / "absent")})
    assert "npm install" in missing.problems[0]
    program = tmp_path / "codex"
    program.write_text("#!/bin/sh\necho codex-cli 1.2.3\n")
    program.chmod(0o755)
    found = backend.diagnose({"program": str(program)})
    assert (found.program, found.version) == (str(program), "1.2.3")
    assert "OPENAI_API_KEY" in found.problems[0]
    assert backend.diagnose({"program": str(program), "base_url": "http://127.0.0.1:9/v1"}).usable
