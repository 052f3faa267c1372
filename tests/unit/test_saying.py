"""What agents say and do, on one line."""

from datetime import UTC, datetime

import pytest

from client.saying import said_line
from shiftwork.store.rows import TranscriptRow


@pytest.mark.parametrize(
    ("kind", "payload", "line"),
    [
        ("text", {"text": "first\nsecond \x1b[31mred"}, "says first second [31mred"),
        ("tool_use", {"text": "Bash", "data": {"command": "ls\n-l"}}, "uses Bash ls -l"),
        ("tool_use", {"text": "odd", "data": {"thing": 1}}, "uses odd"),
        (
            "usage",
            {"input_tokens": 1200, "cache_read_tokens": 34, "cost_usd": 0.5},
            "used 1,234 tokens, $0.50",
        ),
        ("usage", {"cost_usd": None}, "used 0 tokens, $0.00"),
        ("finished", {"ok": True}, "finished, ok"),
        ("rate_limited", {}, "rate limited"),
        ("text", {"text": "x" * 500}, None),
    ],
)
def test_one_line(kind: str, payload: dict, line: str | None) -> None:
    """If it failed, people who watch would see nothing, too much, or a terminal that an agent controls."""
    item = TranscriptRow(
        session_id=1, attempt=1, sequence=1, kind=kind, payload=payload, at=datetime.now(UTC)
    )
    told = said_line(item)
    assert len(told) <= 160
    assert line is None or told == line
