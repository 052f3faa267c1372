"""The last message of an agent, which is the result of its task."""

import pytest

from activities.hearing import LastWords
from shiftwork.agents.events import AgentEvent, AgentEventKind

TEXT, TOOL, RESULT = AgentEventKind.TEXT, AgentEventKind.TOOL_USE, AgentEventKind.TOOL_RESULT
USAGE, FINISHED = AgentEventKind.USAGE, AgentEventKind.FINISHED


def heard(*events: tuple[AgentEventKind, str], most: int = 100, separator: str = "\n") -> tuple[str, int]:
    words = LastWords(most, separator)
    for kind, text in events:
        words.hear(AgentEvent(kind=kind, text=text, ok=kind is FINISHED))
    return words.text


@pytest.mark.parametrize(
    ("events", "result"),
    [
        ((), ""),
        (((TEXT, "I look."), (TOOL, "ls"), (RESULT, "a"), (TEXT, "One file.")), "One file."),
        (((TEXT, "One"), (USAGE, ""), (TEXT, "file.")), "One\nfile."),
        # Some end by a tool: then what they say at their end counts, else what they said before.
        (((TEXT, "One file."), (TOOL, "hand_over"), (FINISHED, "Done.")), "Done."),
        (((TEXT, "One file."), (TOOL, "hand_over"), (FINISHED, "")), "One file."),
        (((TEXT, "One file."), (FINISHED, "Done.")), "One file."),
    ],
)
def test_the_last_message_is_the_result(events: tuple, result: str) -> None:
    """If it failed, a task would show some remark of its agent as its result, or nothing."""
    assert heard(*events)[0] == result


def test_pieces_of_a_line_are_put_together() -> None:
    """If it failed, the words of agents that say them piece by piece would be torn apart."""
    assert heard((TEXT, "One fi"), (TEXT, "le."), separator="")[0] == "One file."


def test_a_flood_is_bounded() -> None:
    """If it failed, one agent could fill the worker's memory by talking."""
    text, total = heard(*((TEXT, "x" * 10) for _ in range(1000)), most=50)
    assert len(text) <= 60
    assert total == 10_000
