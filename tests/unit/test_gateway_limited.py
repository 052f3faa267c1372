"""Until when a provider wants no more, from what providers really say."""

from datetime import UTC, datetime, timedelta

import pytest

from shiftwork.gateway.limited import is_limit, limited_until

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
        (429, {"error": {"code": "insufficient_quota"}}, False),
        (500, {}, False),
        (200, {}, False),
    ],
)
def test_a_limit_is_told_from_other_trouble(status, body, expected):
    """If it failed, a project would wait for an account that can't pay, or give up on a busy hour."""
    assert is_limit(status, body) is expected
