"""How gemini is started and understood, without the program."""

import json
from pathlib import Path

import pytest

from shiftwork.agents.events import AgentEventKind, Problem
from shiftwork.agents.gemini import GeminiBackend
from shiftwork.agents.gemini_reader import GeminiReader
from shiftwork.agents.protocol import AgentRequest
from shiftwork.errors import InvalidInput


def result(message: str = "", kind: str = "unknown", **stats) -> bytes:
    status = {"status": "error", "error": {"type": kind, "message": message}} if message else {}
    return json.dumps({"type": "result", "status": "success", **status, "stats": stats}).encode()


def heard(*lines: bytes, status: int = 0):
    reader = GeminiReader()
    events = [event for each in lines for event in reader.read(each)]
    return [*events, *reader.end(status)]


def test_how_the_program_is_started(tmp_path, monkeypatch):
    """Otherwise it would ask a person, another server, or for another key."""
    monkeypatch.setenv("GEMINI_API_KEY", "secret")
    settings = {"model": "m", "base_url": "http://x", "tools": ["read_file"], "arguments": ["--debug"]}
    request = AgentRequest(
        Path("/ws"), "do it", "be brief", outbox=Path("/out"), home=tmp_path, settings=settings
    )
    command = GeminiBackend().command(request)
    expected = "gemini -o stream-json --approval-mode yolo --model m --include-directories /out --debug"
    assert list(command.argv) == expected.split()
    assert command.stdin == b"be brief\n\ndo it"
    assert (command.env["GOOGLE_GEMINI_BASE_URL"], command.env["HOME"]) == ("http://x", str(tmp_path))
    assert command.env["GEMINI_API_KEY"] == "secret"
    written = json.loads((tmp_path / ".gemini/settings.json").read_text())
    assert written["tools"] == {"core": ["read_file"]}


def test_what_comes_in_parts_is_told_as_parts():
    """Otherwise a verifier's line could begin in the middle of a sentence."""
    said = {"type": "message", "role": "assistant", "content": "I say "}
    events = heard(json.dumps({**said, "delta": True}).encode(), json.dumps(said).encode())
    assert [(event.text, event.part) for event in events] == [("I say ", True), ("I say ", False)]


def test_wrong_settings_and_a_missing_program():
    """Otherwise a mistake would show only when the first session fails."""
    with pytest.raises(InvalidInput, match="permission_mode"):
        GeminiBackend().check({"permission_mode": "perhaps"})
    report = GeminiBackend().diagnose({"program": "no-such-gemini"})
    assert "npm install -g @google/gemini-cli" in report.problems[0]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (result('{"error":{"code":401}}'), Problem.AUTHENTICATION),
        (result('{"error":{"code":400,"message":"API key not valid."}}'), Problem.AUTHENTICATION),
        (result('{"error":{"code":400}}'), Problem.INVALID),
        (result('{"error":{"code":503}}'), Problem.UNAVAILABLE),
        (result("fetch failed sending request"), Problem.UNAVAILABLE),
        (result("enough", "FatalTurnLimitedError"), Problem.LIMIT),
        (result("something"), None),
    ],
)
def test_errors_are_told_apart(line, problem):
    """Otherwise trouble with a provider would cost attempts, or a bad request be repeated for ever."""
    (ended,) = heard(line, status=1)
    assert (ended.kind, ended.ok, ended.problem) == (AgentEventKind.FINISHED, False, problem)


def test_the_result_decides():
    """Otherwise an end by a signal, which can exit with status 0, would count as success."""
    assert heard(b'{"type":"init","session_id":"s","model":"m"}', b"{broken", b"prose")[1:] == []
    assert [event.ok for event in heard(result())] == [True]
    assert [event.kind for event in heard(result('{"code": 429}'))][-1] is AgentEventKind.RATE_LIMITED
    assert [event.problem for event in heard(status=41)] == [Problem.AUTHENTICATION]


def test_tokens_are_counted_by_model():
    """Otherwise cached tokens would be paid twice, and thoughts not at all."""
    used = {"total_tokens": 130, "input_tokens": 100, "output_tokens": 10, "cached": 40}
    event = heard(result(models={"m": used, "idle": {"total_tokens": 0}}))[0]
    counted = (event.model, event.input_tokens, event.output_tokens, event.cache_read_tokens)
    assert counted == ("m", 60, 30, 40)
