"""Until when a provider wants no more, from what providers really say."""

import json
import random
from datetime import UTC, datetime, timedelta

import pytest

from shiftwork.gateway import Outcome, Upstream, Wire
from shiftwork.gateway.limited import is_limit, limited_until
from shiftwork.gateway.limits import Limits
from tests.llm.script import Fault, Reply
from tests.unit.gateway_support import QUESTIONS, SECRET, played, post, request, running, send

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SOON = NOW + timedelta(minutes=5)


def epoch(at: datetime) -> str:
    return str(int(at.timestamp()))


UNTIL = {
    "seconds": ({"retry-after": "300"}, {}, SOON),
    "a fraction": ({"retry-after": "0.5"}, {}, NOW + timedelta(seconds=0.5)),
    "a date": ({"retry-after": "Sun, 01 Mar 2026 12:05:00 GMT"}, {}, SOON),
    "milliseconds": ({"retry-after-ms": "300000", "retry-after": "1"}, {}, SOON),
    "anthropic, the plan's window": (
        {
            "anthropic-ratelimit-unified-status": "rejected",
            "anthropic-ratelimit-unified-reset": epoch(NOW + timedelta(hours=4)),
            "anthropic-ratelimit-unified-5h-status": "rejected",
            "anthropic-ratelimit-unified-5h-reset": epoch(NOW + timedelta(hours=4)),
            "anthropic-ratelimit-unified-7d-status": "allowed",
            "anthropic-ratelimit-unified-7d-reset": epoch(NOW + timedelta(days=6)),
            "retry-after": "20",
        },
        {},
        NOW + timedelta(hours=4),
    ),
    "anthropic, one bucket": (
        {
            "anthropic-ratelimit-input-tokens-remaining": "0",
            "anthropic-ratelimit-input-tokens-reset": "2026-03-01T12:05:00Z",
            "anthropic-ratelimit-requests-remaining": "9",
            "anthropic-ratelimit-requests-reset": "2026-03-01T13:00:00Z",
        },
        {},
        SOON,
    ),
    "openai, one bucket": (
        {
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-tokens": "5m0s",
            "x-ratelimit-remaining-requests": "1",
            "x-ratelimit-reset-requests": "1h",
        },
        {},
        SOON,
    ),
    "openai, the plan's end": (
        {},
        {"error": {"type": "usage_limit_reached", "resets_at": int(SOON.timestamp())}},
        SOON,
    ),
    "openai, the plan's rest": (
        {},
        {"error": {"type": "usage_limit_reached", "resets_in_seconds": 300}},
        SOON,
    ),
    "gemini": (
        {},
        {"error": {"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "300s"}]}},
        SOON,
    ),
    "the past": ({"retry-after": "-5"}, {"error": {"resets_at": 5}}, None),
    "too far": ({"retry-after": "1e300"}, {}, NOW + timedelta(days=40)),
    "nothing": ({}, {}, None),
    "nonsense": (
        {"retry-after": "soon", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "later"},
        {"error": {"resets_at": "x", "resets_in_seconds": True, "details": [5, {"@type": 3}]}},
        None,
    ),
    "the past in the body, and more in a header": (
        {"retry-after": "300"},
        {"error": {"type": "usage_limit_reached", "resets_at": 1, "resets_in_seconds": 0}},
        SOON,
    ),
    "the past of a window": (
        {
            "anthropic-ratelimit-unified-status": "rejected",
            "anthropic-ratelimit-unified-reset": epoch(NOW - timedelta(hours=4)),
            "retry-after": "300",
        },
        {},
        SOON,
    ),
    "an odd zone": ({"retry-after": "Sun, 01 Mar 2026 12:05:00 +99999999999999"}, {}, None),
    "an odd date": ({"retry-after": "Nov +99999999999 12:01:00  21"}, {}, None),
    "the last day": (
        {
            "anthropic-ratelimit-tokens-remaining": "0",
            "anthropic-ratelimit-tokens-reset": "9999-12-31T23:59:59-23:59",
        },
        {"error": {"resets_at": 253402300799}},
        NOW + timedelta(days=40),
    ),
    "endless digits": (
        {
            "retry-after": "9" * 50_000,
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-tokens": "9" * 50_000,
        },
        {},
        None,
    ),
    "no number": ({"retry-after": "nan"}, {"error": {"resets_at": 1e18}}, None),
}


@pytest.mark.parametrize("name", UNTIL)
def test_the_end_of_a_limit_is_read_as_providers_tell_it(name):
    """If it failed, work would go on too early, or far too late."""
    headers, body, expected = UNTIL[name]
    assert limited_until(headers, body, NOW) == expected


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (429, {}, True),
        (529, {}, True),
        (200, {"error": {"type": "overloaded_error"}}, True),
        (200, {"error": {"code": "rate_limit_exceeded"}}, True),
        (429, {"error": {"status": "RESOURCE_EXHAUSTED"}}, True),
        (503, {"error": {"code": 503, "status": "UNAVAILABLE", "message": "The model is overloaded."}}, True),
        (503, {"error": {"message": "Slow down", "type": "slow_down"}}, True),
        (503, {"error": "server busy, please try again"}, True),
        (200, {"error": {"code": "server_is_overloaded"}}, True),
        (429, {"error": {"type": ["x"], "code": {"a": 1}, "status": [[]]}}, True),
        (400, {"error": {"type": {}, "code": ["rate_limit_exceeded"]}}, False),
        (400, {"error": ["x"]}, False),
        (429, {"error": {"code": "insufficient_quota"}}, False),
        (500, {}, False),
        (200, {}, False),
    ],
)
def test_a_limit_is_told_from_other_trouble(status, body, expected):
    """If it failed, a project would wait for an account that can't pay, or give up on a busy hour."""
    assert is_limit(status, body) is expected


WORDS = [
    "Sat,",
    "21",
    "Nov",
    "12:01:00",
    "GMT",
    "-",
    "",
    "9999999999999",
    ":",
    "+99999999999",
    "PM",
    "(",
    '"',
    "0",
]


def test_nothing_that_is_sent_as_a_time_ends_the_call():
    """If it failed, an agent would see a broken connection in the place of its limit."""
    chance = random.Random(1)
    for _ in range(5000):
        text = " ".join(chance.choices(WORDS, k=chance.randint(1, 7)))
        names = (
            "retry-after",
            "retry-after-ms",
            "x-ratelimit-reset-tokens",
            "anthropic-ratelimit-unified-reset",
        )
        headers = dict.fromkeys(names, text)
        headers |= {"x-ratelimit-remaining-tokens": "0", "anthropic-ratelimit-unified-status": "rejected"}
        error = {
            "resets_at": text,
            "resets_in_seconds": text,
            "details": [{"@type": "RetryInfo", "retryDelay": text}],
        }
        limited_until(headers, {"error": error}, NOW)


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("retry-after: Sat, 21 Nov 2026 12:01:00 +99999999999999", "{}"),
        ("x: y", '{"error":{"type":["x"],"code":{"a":1}}}'),
        ("x: y", '{"error":{"resets_at":1e999,"resets_in_seconds":[],"details":{"@type":1}}}'),
    ],
)
async def test_an_odd_limit_reaches_the_client_whole(header, body):
    """If it failed, a provider's mistake would cost the agent the answer that tells it to wait."""

    async def limiting(reader, writer, seen):
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 429 X\r\ncontent-type: application/json\r\n{header}\r\ncontent-length: {len(body)}"
        writer.write(f"{head}\r\n\r\n{body}".encode())
        await reader.read()

    async with (
        played(limiting) as server,
        running(upstream=Upstream(Wire.OPENAI, server.url, SECRET)) as run,
    ):
        answer = await send(run, request(run, "chat"))
        assert (answer.status, answer.body) == (429, body.encode())
        assert [call.outcome for call in run.calls] == [Outcome.LIMITED]


def asking(run, kind: str, model: str) -> bytes:
    path, body = QUESTIONS[kind][1:]
    return post(run, path.replace("/m:", f"/{model}:"), json.dumps({**body, "model": model}).encode())


@pytest.mark.parametrize("kind", QUESTIONS)
async def test_a_limit_of_one_model_outlasts_the_answer_of_another(kind):
    """If it failed, a small helper's answer would hide that the model which does the work wants no more."""
    limited = {"big"}

    def script(turn):
        asked = turn.body["model"]
        return Fault(429, headers={"retry-after": "120"}) if asked in limited else Reply("on")

    async with running(QUESTIONS[kind][0], script) as run:
        assert (await send(run, asking(run, kind, "big"))).status == 429
        assert run.session.is_limited("small"), "nothing else was to be had after it"
        until = run.session.limited_until
        assert (await send(run, asking(run, kind, "small"))).status == 200
        whose = ("", "big", "provider/big", "provider:big", "small")
        assert [run.session.is_limited(model) for model in whose] == [True, True, True, True, False]
        assert run.session.limited_until == until is not None
        limited.clear()
        assert (await send(run, asking(run, kind, "big"))).status == 200
        assert run.session.limited_until is None


async def test_a_limit_ends_with_the_answer_to_a_large_question_too():
    """If it failed, a session whose questions are large would seem limited although it is answered."""
    answers = [Fault(429, headers={"retry-after": "120"}), Reply("on")]
    async with running(script=lambda turn: answers.pop(0)) as run:
        large = {"model": "big", "messages": [{"role": "user", "content": "x" * 400_000}]}
        await send(run, asking(run, "messages", "big"))
        assert run.session.limited_until is not None
        assert (await send(run, post(run, "/v1/messages", json.dumps(large).encode()))).status == 200
        assert run.session.limited_until is None
        assert [call.requested for call in run.calls] == ["big", "big"]


def test_a_session_remembers_a_bounded_number_of_limits():
    """If it failed, an agent could fill the memory with names of models; or the latest would be forgotten."""
    limits = Limits()
    for number in range(500):
        limits.note(f"m{number}", NOW + timedelta(seconds=number))
    assert limits.until == NOW + timedelta(seconds=499)
    assert len(limits._until) < 100
    limits.answered(*(f"m{number}" for number in range(500)))
    assert not limits
    limits.note("m", None)
    assert limits.until is None
