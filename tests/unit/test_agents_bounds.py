"""What an agent prints is hostile: no line of it may wedge, repeat or empty a project."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shiftwork.agents.acp_updates import Updates
from shiftwork.agents.bounds import MOST_DOLLARS, MOST_TOKENS, resume_time
from shiftwork.agents.claude_reader import ClaudeReader
from shiftwork.agents.codex_reader import CodexReader
from shiftwork.agents.codex_rollout import Rollout
from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.agents.gemini_reader import GeminiReader
from shiftwork.agents.guard import GuardedReader
from shiftwork.agents.opencode_reader import OpencodeReader
from shiftwork.agents.prices import cost
from shiftwork.agents.scripted import EventLines
from shiftwork.contracts.prices import Prices

READERS = {
    "claude": ClaudeReader,
    "codex": lambda: CodexReader(lambda thread: Rollout(Path("/nowhere"), thread)),
    "opencode": OpencodeReader,
    "gemini": GeminiReader,
    "jsonl": EventLines,
}
HUGE = "1" + "0" * 400
DEEP = "[" * 900 + "]" * 900
API_ERROR = '{"type":"error","sessionID":"s","error":{"name":"APIError","data":{"statusCode":429,'
LIMIT = "You've hit your usage limit. Try again at "
LINES = [
    '{"type":"assistant","sessionID":"s","kind":"text","data":' + "[" * 3000 + "]" * 3000 + "}",
    '{"type":"assistant","message":{"content":[{"type":"tool_use","name":"B","input":{"a":' + DEEP + "}}]}}",
    '{"type":"tool_use","sessionID":"s","part":{"state":{"input":' + DEEP + "}}}",
    '{"type":"tool_use","parameters":' + DEEP + "}",
    '{"type":"item.started","item":{"type":"mcp_tool_call","arguments":' + DEEP + "}}",
    '{"type":"item.completed","item":{"type":["x"],"id":1}}',
    '{"type":"item.completed","item":{"type":{"a":1}}}',
    '{"type":"turn.failed","error":{"message":"' + LIMIT + 'Dec 31st, 9999 11:59 PM"}}',
    '{"type":"turn.failed","error":{"message":"rate limit exceeded, try again in ' + "9" * 400 + 'h"}}',
    '{"type":"result","usage":{"input_tokens":1},"total_cost_usd":' + HUGE + "}",
    '{"type":"result","usage":{"input_tokens":' + HUGE + '},"total_cost_usd":-1}',
    '{"type":"step_finish","sessionID":"s","part":{"tokens":{"input":Infinity},"cost":NaN}}',
    '{"type":"step_finish","sessionID":"s","part":{"tokens":{"input":-5},"cost":' + HUGE + "}}",
    '{"type":"result","stats":{"models":{"m":{"total_tokens":Infinity}}}}',
    '{"type":"result","stats":{"models":{"m":{"total_tokens":NaN,"cached":-1}}}}',
    '{"type":"shiftwork_retry","sessionID":"s","status":{"next":1e17}}',
    '{"type":"shiftwork_retry","sessionID":"s","status":{"next":9e15}}',
    '{"type":"shiftwork_retry","sessionID":"s","status":{"next":Infinity}}',
    API_ERROR + '"responseHeaders":{"retry-after":[1]}}}}',
    API_ERROR + '"responseHeaders":{"retry-after":"nan"}}}}',
    API_ERROR + '"responseHeaders":{"retry-after":"1e300"}}}}',
    API_ERROR + '"responseHeaders":{"retry-after":"Fri, 31 Dec 9999 23:59:59 -0500"}}}}',
    '{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":' + HUGE + "}}",
    '{"kind":"usage","input_tokens":-5,"output_tokens":1' + "0" * 30 + ',"cost_usd":Infinity}',
    '{"kind":"usage","cost_usd":NaN}',
    '{"kind":"rate_limited","until":"9999-12-31T23:59:59-05:00"}',
    '{"kind":"rate_limited","until":"2020-01-01T00:00:00"}',
    '{"kind":"text","text":"\\ud83d","data":{"\\ud83d":["\\ud83d"]}}',
    '{"type":"assistant","message":{"content":[{"type":"text","text":"half a \\ud83d"}]}}',
]


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_no_line_stops_a_reader(name, line):
    """Otherwise that line would have the attempt repeated for ever, for money."""
    now = datetime.now(UTC)
    for event in [*READERS[name]().read(line.encode()), *GuardedReader(READERS[name]()).read(line.encode())]:
        json.dumps(event.model_dump(mode="json"), allow_nan=False).encode()
        for count in (event.input_tokens, event.output_tokens, event.cache_read_tokens):
            assert 0 <= count <= MOST_TOKENS
        assert event.cost_usd is None or 0 <= event.cost_usd <= MOST_DOLLARS
    for event in GuardedReader(READERS[name]()).read(line.encode()):
        assert event.until is None or now < event.until <= now + timedelta(days=9)


class Stumbling:
    def read(self, line: bytes):
        if line == b"bad":
            raise RecursionError("too deep\nfor me")
        yield AgentEvent(kind=AgentEventKind.TEXT, text=line.decode())

    def end(self, exit_status: int):
        raise KeyError(exit_status)


def test_a_line_that_can_not_be_understood_is_passed_over_and_counted():
    """Otherwise an error in our own reader would repeat the attempt for ever, or be kept silent."""
    reader = GuardedReader(Stumbling())
    assert [event.text for line in (b"a", b"bad", b"b") for event in reader.read(line)] == ["a", "b"]
    (said,) = reader.end(0)
    assert said.kind is AgentEventKind.TEXT
    assert said.text.startswith("2 of the agent's lines")
    assert "RecursionError: too deep for me" in said.text


@pytest.mark.parametrize(
    ("until", "seconds"),
    [
        (datetime.fromisoformat("2020-01-01"), 10),
        (datetime(2026, 1, 1, tzinfo=UTC), 10),
        (datetime.fromisoformat("2026-05-01T13:00"), 3600),
        (datetime(2026, 5, 1, 7, 0, tzinfo=UTC) + timedelta(hours=6), 3600),
        (datetime(9999, 12, 31, 23, 59, tzinfo=UTC), 8 * 86_400),
    ],
)
def test_a_limit_ends_neither_at_once_nor_never(until, seconds):
    """Otherwise a date of an agent's would be a paid hot loop, or keep a project asleep for centuries."""
    now = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
    found = resume_time(until, now)
    assert (found - now).total_seconds() == seconds
    assert found.tzinfo is UTC


def test_what_an_event_carries_is_bounded():
    """Otherwise one event could hold more than a row takes, or nest deeper than JSON is written."""
    deep: dict = {}
    for _ in range(3000):
        deep = {"a": deep}
    data = {"deep": deep, "many": list(range(5000)), "long": "x" * 100_000, "n": 10**5000, "f": float("nan")}
    event = AgentEvent(kind="text", data=data, model="m" * 5000, conversation="c" * 5000)
    assert len(event.model_dump_json()) < 100_000
    assert (len(event.model), len(event.conversation)) == (200, 200)
    assert (event.data["n"], event.data["f"]) == (None, None)


def test_no_price_makes_an_event_cost_more_than_it_can():
    """Otherwise one wrong count would not fit into a row."""
    event = AgentEvent(kind="usage", input_tokens=MOST_TOKENS)
    assert cost(event, Prices(input=1000, output=1)) == MOST_DOLLARS


def test_an_agents_own_cost_is_taken_as_it_is_only_if_it_can_be():
    """Otherwise the protocol's bridge would die of a number, and the attempt begin anew."""
    said: list[AgentEvent] = []
    updates = Updates(said.append, 0.0)
    updates.begin()
    from acp.schema import Cost, UsageUpdate

    for amount in (float("inf"), float("nan"), -5.0, 0.5):
        updates.hear(
            UsageUpdate(
                session_update="usage_update", size=1, used=1, cost=Cost(amount=amount, currency="USD")
            )
        )
    assert [event.cost_usd for event in said] == [0.5]
