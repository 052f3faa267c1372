"""How opencode is started and understood, without the program."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shiftwork.agents.events import AgentEventKind, Problem
from shiftwork.agents.opencode import OpencodeBackend
from shiftwork.agents.opencode_reader import OpencodeReader
from shiftwork.agents.protocol import AgentRequest, Conversation
from shiftwork.errors import InvalidInput

LOCAL = {"model": "m/large", "base_url": "http://127.0.0.1:1/v1"}


def line(kind: str, **more) -> bytes:
    return json.dumps({"type": kind, "sessionID": "ses_1", **more}).encode()


def step(reason: str, **more) -> bytes:
    return line("step_finish", part={"reason": reason, "tokens": {}, "cost": 0, **more})


def tool(**state) -> bytes:
    return line("tool_use", part={"tool": "write", "state": state})


def error(name: str, **data) -> bytes:
    return line("error", error={"name": name, "data": {"message": "why", **data}})


def heard(*lines: bytes, status: int = 0):
    reader = OpencodeReader("m")
    events = [event for each in lines for event in reader.read(each)]
    return [*events, *reader.end(status)]


def finished(*lines: bytes, status: int = 0):
    return [event for event in heard(*lines, status=status) if event.kind is AgentEventKind.FINISHED]


def configured(settings, **more):
    command = OpencodeBackend().command(AgentRequest(Path("/ws"), settings=settings, **more))
    return command, json.loads(command.env["OPENCODE_CONFIG_CONTENT"])


def test_the_program_is_started_with_its_whole_configuration(tmp_path, monkeypatch):
    """Otherwise it would ask its own servers, another model, or a person."""
    monkeypatch.setenv("SOME_KEY", "secret")
    command, config = configured(
        {**LOCAL, "pass_environment": ["SOME_KEY"], "arguments": ["--pure"]},
        prompt="do it",
        system_prompt="be brief",
        home=tmp_path,
        conversation=Conversation("ses_9", resumed=True),
    )
    expected = "opencode run --format json --title shiftwork --session ses_9 --model shiftwork/m/large --pure"
    assert list(command.argv) == expected.split()
    assert command.stdin == b"be brief\n\ndo it"
    assert (config["model"], config["permission"]) == ("shiftwork/m/large", "allow")
    assert config["provider"]["shiftwork"]["options"] == {
        "baseURL": LOCAL["base_url"],
        "apiKey": "{env:SOME_KEY}",
    }
    assert command.env["SOME_KEY"] == "secret"
    assert (command.env["HOME"], command.env["XDG_DATA_HOME"]) == (
        str(tmp_path),
        str(tmp_path / ".local/share"),
    )
    assert (tmp_path / ".config/opencode/plugin/shiftwork.js").is_file()


def test_settings_reach_the_configuration():
    """Otherwise a project's bounds on its agent would not hold."""
    command, config = configured({"model": "anthropic/some", "tools": ["read", "write"]})
    assert command.argv[-1] == "anthropic/some"
    assert "provider" not in config
    assert config["permission"] == {
        "*": "deny",
        "external_directory": "allow",
        "doom_loop": "allow",
        "read": "allow",
        "edit": "allow",
    }
    assert "HOME" not in command.env
    options = {"limit": {"context": 9, "output": 3}}
    provider = configured({**LOCAL, "model_options": options})[1]["provider"]["shiftwork"]
    assert (provider["models"], provider["options"]) == (
        {"m/large": options},
        {"baseURL": LOCAL["base_url"]},
    )


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"base_url": "http://x"}, "'model'"),
        ({"model": "large"}, "provider/model"),
        ({**LOCAL, "api_key": "MY_KEY"}, "pass_environment"),
        ({"permission_mode": "perhaps"}, "permission_mode"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_settings_that_can_not_work(settings, word):
    """Otherwise a mistake would show only when the first session fails."""
    with pytest.raises(InvalidInput, match=word):
        OpencodeBackend().check(settings)


def test_a_missing_program_and_a_missing_key(monkeypatch):
    """Otherwise `doctor` would not say what to install or to set."""
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    report = OpencodeBackend().diagnose({"program": "no-such-opencode"})
    assert "npm install -g opencode-ai" in report.problems[0]
    report = OpencodeBackend().diagnose({"program": "git", "pass_environment": ["NO_SUCH_KEY"]})
    assert "'NO_SUCH_KEY'" in report.problems[0]


def test_the_last_step_ends_the_run():
    """Otherwise a run would end too early, or never."""
    assert [event.ok for event in finished(line("step_start"), step("stop"))] == [True]
    assert finished(step("tool-calls"), status=143) == []
    done = {"status": "completed", "output": "ok"}
    reader = OpencodeReader()
    early = [each for part in (tool(**done), step("stop")) for each in reader.read(part)]
    assert AgentEventKind.FINISHED not in [event.kind for event in early]
    assert [event.ok for event in reader.end(0)] == [True]
    assert [event.problem for event in finished(step("length"))] == [Problem.LIMIT]
    assert finished(b"{broken", b"[]", b'{"sessionID": 3}', b"prose") == []


def test_a_refused_permission_is_no_success():
    """Otherwise the program's exit status 0 would count."""
    said = "The user rejected permission to use this specific tool call."
    ended = finished(tool(status="error", error=said), step("tool-calls"))
    assert [(event.ok, event.problem) for event in ended] == [(False, Problem.INVALID)]
    assert "'write'" in ended[0].text


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        (error("APIError", statusCode=401), Problem.AUTHENTICATION),
        (error("APIError", statusCode=403), Problem.AUTHENTICATION),
        (error("ProviderAuthError"), Problem.AUTHENTICATION),
        (error("APIError", statusCode=429, responseBody="insufficient_quota"), Problem.AUTHENTICATION),
        (error("APIError", statusCode=503), Problem.UNAVAILABLE),
        (error("APIError"), Problem.UNAVAILABLE),
        (error("APIError", statusCode=400), Problem.INVALID),
        (error("APIError", statusCode=404), Problem.INVALID),
        (error("ContentFilterError"), Problem.REFUSED),
        (error("ContextOverflowError"), Problem.LIMIT),
        (error("UnknownError"), None),
    ],
)
def test_errors_are_told_apart(event, problem):
    """Otherwise trouble with a provider would cost attempts, or a bad request be repeated for ever."""
    ended = finished(event, status=1)
    assert [(each.ok, each.problem, each.text) for each in ended] == [(False, problem, "why")]


def summary():
    """What is printed of a summary; the plugin names its message first."""
    told = line("shiftwork_summary", messageID="msg_s")
    return told, line("step_start", part={"messageID": "msg_s"}), step("stop", messageID="msg_s")


def test_a_conversation_that_was_summarised_goes_on():
    """Otherwise every long session would fail where the program helps itself."""
    events = (error("ContextOverflowError"), *summary(), line("step_start"), step("stop"))
    # The program's exit status remembers the overflow.
    for status, ends in ((0, [True]), (1, [True]), (137, [])):
        assert [event.ok for event in finished(*events, status=status)] == ends


def test_a_summary_is_no_answer():
    """Otherwise a session would succeed, and its agent be killed, in the middle of its work."""
    reader = OpencodeReader()
    for each in (line("step_start"), step("tool-calls"), *summary(), line("step_start")):
        assert AgentEventKind.FINISHED not in [event.kind for event in reader.read(each)]
    assert reader.end(0) == []
    assert [event.problem for event in finished(error("ContextOverflowError"), *summary())] == [Problem.LIMIT]
    continued = line("text", part={"synthetic": True, "text": "Continue if you have next steps."})
    assert AgentEventKind.TEXT not in [event.kind for event in heard(continued)]


def test_summaries_that_do_not_help_end_the_run():
    """Otherwise a model that finds every conversation too long would be asked, and paid, for ever."""
    ended = finished(*(part for _ in range(9) for part in (error("ContextOverflowError"), *summary())))
    assert [event.problem for event in ended] == [Problem.LIMIT]


def test_a_program_that_hangs_after_its_work_has_finished():
    """Otherwise a session that is done would end as one that ran out of time."""
    reader = OpencodeReader()
    work = (line("step_start"), step("stop"), line("shiftwork_idle"), line("shiftwork_idle"))
    ended = [e for each in work for e in reader.read(each) if e.kind is AgentEventKind.FINISHED]
    assert [event.ok for event in ended] == [True]
    assert reader.end(0) == []
    other = b'{"type": "shiftwork_idle", "sessionID": "ses_2"}'
    assert [e for e in heard(line("step_start"), step("stop"), other, status=9) if e.ok] == []


@pytest.mark.parametrize(
    ("message", "reason", "kind", "problem"),
    [
        ("Internal Server Error", "", AgentEventKind.FINISHED, Problem.UNAVAILABLE),
        ("Too Many Requests", "", AgentEventKind.RATE_LIMITED, None),
        ("Buy more", "account_rate_limit", AgentEventKind.RATE_LIMITED, None),
    ],
)
def test_a_provider_that_stays_away_is_given_up(message, reason, kind, problem):
    """Otherwise the program would try for ever, and its session cost an attempt as one without time."""
    status = {"type": "retry", "message": message, "next": 0, "action": {"reason": reason}}
    retry = line("shiftwork_retry", status=status)
    reader = OpencodeReader()
    patient = [*[retry] * 4, step("tool-calls"), *[retry] * 4]
    assert kind not in [event.kind for each in patient for event in reader.read(each)]
    ends = [event for each in (retry, retry) for event in reader.read(each)]
    assert [(event.kind, event.problem) for event in ends] == [(kind, problem)]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "120"}, 120),
        ({"retry-after-ms": "5000"}, 5),
        ({"retry-after": "Wed, 01 Jan 2200 00:00:00 GMT"}, 10**9),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_a_rate_limit_says_until_when(headers, seconds):
    """Otherwise a project would ask too early, or lose time."""
    limit = heard(error("APIError", statusCode=429, responseHeaders=headers))[-1]
    assert limit.kind is AgentEventKind.RATE_LIMITED
    assert (limit.until is None) is (seconds is None)
    if seconds:
        assert limit.until > datetime.now(UTC) + timedelta(seconds=seconds - 3)


@pytest.mark.parametrize(("wait", "kind"), [(5, "text"), (7200, "rate_limited")])
def test_a_long_wait_of_the_program_ends_the_run(wait, kind):
    """Otherwise the program would wait for hours without a word."""
    until = (datetime.now(UTC) + timedelta(seconds=wait)).timestamp() * 1000
    told = heard(line("shiftwork_retry", status={"type": "retry", "message": "slow", "next": until}))
    assert told[-1].kind.value == kind
    assert "slow" in told[-1].text


def test_the_work_of_sub_agents_is_counted():
    """Otherwise what they cost would be lost; the main conversation is not counted twice."""
    tokens = {"input": 3, "output": 2, "reasoning": 1, "cache": {"read": 5, "write": 7}}
    own = json.loads(step("stop"))["part"] | {"tokens": tokens, "cost": 0.5}
    other = {"type": "shiftwork_step", "sessionID": "ses_2", "part": own}
    mine = {"type": "shiftwork_step", "sessionID": "ses_1", "part": own}
    events = heard(line("step_start"), json.dumps(other).encode(), json.dumps(mine).encode())
    (used,) = [event for event in events if event.kind is AgentEventKind.USAGE]
    assert (used.input_tokens, used.output_tokens, used.cache_read_tokens) == (3, 3, 5)
    assert (used.cache_write_tokens, used.cost_usd, used.conversation) == (7, 0.5, "ses_1")
