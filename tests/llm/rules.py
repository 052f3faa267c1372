"""What the providers refuse of a question: the rules that they have for a conversation that is sent back."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Body = Mapping[str, Any]

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_LONG_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_GEMINI_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.-]{0,63}")
_ID = re.compile(r"[a-zA-Z0-9_-]+")


def broken_rules(wire: str, body: Body) -> list[str]:
    """A sentence for each rule of this wire that the question breaks."""
    return [*_RULES[wire](body), *_tools(wire, body)]


def _openai_chat(body: Body) -> Iterator[str]:
    waiting: list[str] = []
    for number, message in enumerate(body.get("messages", [])):
        role, at = message["role"], f"messages[{number}]"
        if role == "tool":
            yield from _answered(at, waiting, message.get("tool_call_id"))
            continue
        if waiting:
            yield f"{at}: no answer to the calls {waiting} comes before it"
        calls = message.get("tool_calls") or []
        waiting = [call["id"] for call in calls]
        yield from _distinct(at, waiting)
        if not message.get("content") and not calls:
            yield f"{at}: {role} says nothing"
        for call in calls:
            yield from _named(at, call["function"]["name"], _NAME)
            yield from _object(at, call["function"]["arguments"])


def _openai_responses(body: Body) -> Iterator[str]:
    given = body.get("input", [])
    waiting: list[str] = []
    seen: list[str] = []
    for number, item in enumerate([] if isinstance(given, str) else given):
        at = f"input[{number}]"
        if item.get("type") == "function_call":
            waiting.append(item["call_id"])
            seen.append(item["call_id"])
            yield from _named(at, item["name"], _LONG_NAME)
        elif item.get("type") == "function_call_output":
            yield from _answered(at, waiting, item["call_id"])
    yield from _distinct("input", seen)
    if waiting:
        yield f"input: no answer to the calls {waiting}"


def _anthropic(body: Body) -> Iterator[str]:
    waiting: list[str] = []
    seen: list[str] = []
    for number, message in enumerate(body.get("messages", [])):
        at, blocks = f"messages.{number}", _blocks(message["content"])
        if not blocks or (number == 0 and message["role"] != "user"):
            yield f"{at}: content is empty, or not the user's"
        for block in blocks:
            if block["type"] == "text" and not block["text"].strip():
                yield f"{at}: text is blank"
            elif block["type"] == "tool_result":
                yield from _answered(at, waiting, block["tool_use_id"])
                if any(part.get("text", "x").strip() == "" for part in _blocks(block.get("content") or "x")):
                    yield f"{at}: text of a result is blank"
        if waiting:
            yield f"{at}: no answer to the calls {waiting}"
        calls = [block for block in blocks if block["type"] == "tool_use"]
        waiting = [call["id"] for call in calls]
        seen += waiting
        for call in calls:
            yield from _named(at, call["name"], _LONG_NAME)
            if not _ID.fullmatch(call["id"]) or not isinstance(call["input"], dict):
                yield f"{at}: the id or the input of a call is none: {call}"
    yield from _distinct("messages", seen)
    if str(body).count("'cache_control'") > 4:
        yield "a maximum of 4 blocks with cache_control may be provided"


def _gemini(body: Body) -> Iterator[str]:
    waiting: list[str] = []
    for number, content in enumerate(body.get("contents", [])):
        at, parts = f"contents[{number}]", content.get("parts", [])
        if not parts:
            yield f"{at}: has no parts"
        answered = [part["functionResponse"]["name"] for part in parts if "functionResponse" in part]
        if sorted(answered) != sorted(waiting):
            yield f"{at}: answers {answered} to the calls {waiting}"
        waiting = [part["functionCall"]["name"] for part in parts if "functionCall" in part]
        for name in waiting:
            yield from _named(at, name, _NAME)


def _ollama(body: Body) -> Iterator[str]:
    for number, message in enumerate(body.get("messages", [])):
        for call in message.get("tool_calls") or []:
            yield from _named(f"messages[{number}]", call["function"]["name"], _NAME)


def _tools(wire: str, body: Body) -> Iterator[str]:
    names = [name for tool in body.get("tools") or [] for name in _offered(tool)]
    pattern = {"anthropic": _LONG_NAME, "gemini": _GEMINI_NAME}.get(wire, _NAME)
    for name in names:
        if not pattern.fullmatch(name):
            yield f"tools: the name {name!r} does not match {pattern.pattern}"
    if len(set(names)) < len(names):
        yield f"tools: names are not unique: {names}"


def _offered(tool: Mapping[str, Any]) -> Sequence[str]:
    """The names in one item of a question's tools; none in one that the provider itself brings."""
    for key in ("functionDeclarations", "function_declarations"):
        if key in tool:
            return [declared["name"] for declared in tool[key]]
    named = tool.get("function", tool)
    return [named["name"]] if "name" in named else []


def _blocks(content: str | Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _answered(at: str, waiting: list[str], call: str | None) -> Iterator[str]:
    if call in waiting:
        waiting.remove(call)
    else:
        yield f"{at}: answers {call!r}, which no call before it is"


def _distinct(at: str, ids: Sequence[str]) -> Iterator[str]:
    if not all(ids) or len(set(ids)) < len(ids):
        yield f"{at}: calls have no id of their own: {ids}"


def _named(at: str, name: str, pattern: re.Pattern[str]) -> Iterator[str]:
    if not pattern.fullmatch(name):
        yield f"{at}: the name {name!r} of a call does not match {pattern.pattern}"


def _object(at: str, arguments: str) -> Iterator[str]:
    try:
        if isinstance(json.loads(arguments), dict):
            return
    except ValueError:
        pass
    yield f"{at}: the arguments of a call are no object: {arguments!r}"


_RULES: Mapping[str, Callable[[Body], Iterator[str]]] = {
    "openai_chat": _openai_chat,
    "openai_responses": _openai_responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "ollama": _ollama,
}
