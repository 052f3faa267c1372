"""Names and ids of calls: a model makes them up, and a provider takes back only what fits its own rules."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self
from uuid import uuid4

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, InvalidToolCall, ToolCall, ToolMessage
from langchain_core.tools import BaseTool

Call = ToolCall | InvalidToolCall

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""What every provider takes for the name of a tool."""

_OTHERS: Final = re.compile(r"[^a-zA-Z0-9_-]+")
_LONGEST: Final = 64
_UNNAMED: Final = "unknown"

_ID_OF: Final = {
    "tool_use": "id",
    "tool_call": "id",
    "function_call": "call_id",
    "custom_tool_call": "call_id",
}
"""Where a call is told again in the content: the types of such parts, and what holds the id there."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer must fit.

    Attributes:
        tools: names of the tools that the question offered: those the provider has taken.
        ids: of the calls that the conversation has so far.
    """

    tools: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()

    @classmethod
    def of(cls, tools: Iterable[BaseTool | Mapping[str, Any]], messages: Iterable[BaseMessage]) -> Self:
        """What this question has."""
        return cls(
            frozenset(_name_of(tool) for tool in tools),
            frozenset(
                str(call["id"])
                for message in messages
                if isinstance(message, AIMessage)
                for call in (*message.tool_calls, *message.invalid_tool_calls)
            ),
        )

    def takes(self, name: str) -> bool:
        """Whether a call by this name can be sent back."""
        return name in self.tools or _NAME.fullmatch(name) is not None


def make_fit(answer: AIMessage, calls: Sequence[Call], asked: Asked) -> dict[str, str]:
    """Give each call an id of its own and a name that can be sent back, in the content too.

    An id may be long and odd: a server may keep there what it needs to know again.

    Args:
        calls: those of the answer, as they were written, in that order.

    Returns:
        The names that were replaced, by the ids of their calls.
    """
    seen, replaced = set(asked.ids), {}
    for call in calls:
        call_id, name = call["id"], call["name"] or ""
        if not call_id or call_id in seen:
            call["id"] = call_id = f"call_{uuid4().hex}"
        seen.add(call_id)
        if not asked.takes(name):
            replaced[call_id] = name
            call["name"] = _fitting(name)
    _tell_alike(answer, calls)
    return replaced


def sendable(messages: Sequence[AnyMessage], asked: Asked) -> list[AnyMessage]:
    """The conversation as a provider takes it; one that was kept may be older than `make_fit`."""
    return [_sendable(message, asked) for message in messages]


def _sendable(message: AnyMessage, asked: Asked) -> AnyMessage:
    if isinstance(message, ToolMessage) and message.name is not None and not asked.takes(message.name):
        return message.model_copy(update={"name": _fitting(message.name)})
    if not isinstance(message, AIMessage) or all(_is_alike(*pair, asked) for pair in _pairs(message)):
        return message
    mended = message.model_copy(deep=True)
    for call in mended.tool_calls:
        if not asked.takes(call["name"]):
            call["name"] = _fitting(call["name"])
    _tell_alike(mended, mended.tool_calls)
    return mended


def _pairs(message: AIMessage) -> Iterator[tuple[Call, Mapping[str, Any] | None]]:
    parts = _parts(message)
    told: Sequence[Any] = parts if len(parts) == len(message.tool_calls) else [None] * len(message.tool_calls)
    yield from zip(message.tool_calls, told, strict=True)


def _is_alike(call: Call, part: Mapping[str, Any] | None, asked: Asked) -> bool:
    alike = part is None or (part.get(_ID_OF[part["type"]]), part.get("name")) == (call["id"], call["name"])
    return alike and asked.takes(call["name"] or "")


def _tell_alike(answer: AIMessage, calls: Sequence[Call]) -> None:
    """Have the content say of its calls what the calls say."""
    parts = _parts(answer)
    if len(parts) == len(calls):
        for part, call in zip(parts, calls, strict=True):
            part[_ID_OF[part["type"]]], part["name"] = call["id"], call["name"]


def _parts(answer: AIMessage) -> list[dict[str, Any]]:
    if isinstance(answer.content, str):
        return []
    return [part for part in answer.content if isinstance(part, dict) and part.get("type") in _ID_OF]


def _fitting(name: str) -> str:
    return _OTHERS.sub("_", name)[:_LONGEST] or _UNNAMED


def _name_of(tool: BaseTool | Mapping[str, Any]) -> str:
    if isinstance(tool, BaseTool):
        return tool.name
    return str(tool.get("name") or tool.get("function", {}).get("name") or "")
