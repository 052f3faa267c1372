"""What providers tell of tokens, each in its own words."""

import json
import math
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from shiftwork.gateway.call import Tokens
from shiftwork.gateway.refusals import Wire
from shiftwork.text import one_line, truncate

OUTPUTS = frozenset(
    {"output_tokens", "completion_tokens", "candidatesTokenCount", "thoughtsTokenCount", "eval_count"}
)
INPUTS = frozenset({"input_tokens", "prompt_tokens", "promptTokenCount", "prompt_eval_count"})
MARKS = (b'"usage', b'"error"', b'eval_count"')
"""One of these is in each document that tells tokens, or an error."""

_MOST = 2**53
_NAME = 200
_UNTOLD_ABOVE = "compaction"
"""The kind of an iteration whose tokens are in no sum above it."""
_BY_ANOTHER = "advisor_message"
"""The same, by a model of its own."""
_FOUND = 25
_LISTED = 1000
_WINDOW = 8 * 1024
_TEXT = rb'"\s*:\s*"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_SAID = re.compile(
    rb'"(?:text|content|thinking|partial_json|arguments|refusal|reasoning|reasoning_content)' + _TEXT,
    re.DOTALL,
)
_SAID_IN_RESPONSES = re.compile(rb'"delta' + _TEXT, re.DOTALL)
"""Their later events say again what the deltas said."""
_SAID_BY_OLLAMA = re.compile(rb'"(?:content|thinking|response)' + _TEXT, re.DOTALL)
# A quotation mark within a string has a backslash in front: what a model says is not taken for a name.
_KEY = re.compile(
    rb'(?<!\\)"(usage|usageMetadata|error|prompt_eval_count|eval_count)"[ \t\r\n]*:[ \t\r\n]*(?=[{"0-9])'
)

_BETWEEN = re.compile(r"[, \r\n\t]*+")
"""The parts of a list."""
_DECODER = json.JSONDecoder()


def said(wire: Wire, data: bytes) -> Iterator[int]:
    """Bytes of each text that the model says in a document."""
    if wire is Wire.OLLAMA:
        pattern = _SAID_BY_OLLAMA
    else:
        pattern = _SAID_IN_RESPONSES if b'"response.' in data else _SAID
    for match in pattern.finditer(data):
        yield len(match[1])


def whole_facts(data: bytes) -> Iterator[Mapping[str, Any] | None]:
    """The objects of a document: one, or a list's; of a list that was cut off, those that are whole.

    Of a very long list only the first one and the last ones: they tell sums. None: the next one is still
    looked for.
    """
    text = data.decode("utf-8-sig", "replace").strip()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = _whole(text)
    first, last = True, deque[Mapping[str, Any]](maxlen=_LISTED)
    for each in value if isinstance(value, list | Iterator) else [value]:
        if not isinstance(each, dict):
            yield None
        elif first:
            first = False
            yield each
        else:
            last.append(each)
            yield None
    yield from last


def found_facts(data: bytes) -> Iterator[Mapping[str, Any] | None]:
    """What tells tokens, or an error, in a document that can't be read as a whole: the first and the last.

    None: the next one is still looked for.
    """
    last = deque[re.Match[bytes]](maxlen=_FOUND)
    for number, match in enumerate(_KEY.finditer(data)):
        if number < _FOUND:
            yield _fact(data, match)
        else:
            last.append(match)
            yield None
    for match in last:
        yield _fact(data, match)


def usage_in(wire: Wire, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of an object that tells tokens; empty if none does."""
    if wire is Wire.OLLAMA:
        return facts
    usage = facts.get("usageMetadata" if wire is Wire.GEMINI else "usage")
    if isinstance(usage, dict):
        return usage
    return _elsewhere(facts) if wire is Wire.OPENAI else {}


def beside(wire: Wire, usage: Mapping[str, Any]) -> dict[str, Tokens] | None:
    """Tokens that are in none of its own figures, by the model that they are of; None if it doesn't say.

    Those of the model itself are under ''.
    """
    rounds = usage.get("iterations")
    if wire is not Wire.ANTHROPIC or not isinstance(rounds, list):
        return None
    found: dict[str, Tokens] = {}
    for each in rounds[:_LISTED]:
        if not isinstance(each, dict) or each.get("type") not in {_UNTOLD_ABOVE, _BY_ANOTHER}:
            continue
        told = each.get("model") if each["type"] == _BY_ANOTHER else ""
        model = truncate(one_line(told[: 2 * _NAME]), _NAME) if isinstance(told, str) else ""
        found[model] = found.get(model, Tokens()) + _anthropic(each, Tokens())
    return found


def names_told(usage: Mapping[str, Any]) -> set[str]:
    """The names of the numbers in it."""
    return {name for name, value in usage.items() if _as_number(value) is not None}


def read_usage(wire: Wire, usage: Mapping[str, Any], before: Tokens) -> Tokens:
    """The tokens that it tells; those that it does not are as they were before."""
    return _READERS[wire](usage, before)


def _fact(data: bytes, match: re.Match[bytes]) -> Mapping[str, Any] | None:
    """What follows the name that was found."""
    window = data[match.end() : match.end() + _WINDOW].decode("utf-8", "replace")
    try:
        value, _ = _DECODER.raw_decode(window)
    except (ValueError, RecursionError):
        return None
    return {match[1].decode(): value}


def _whole(text: str) -> Iterator[Any]:
    """What is at the front of a list that ends too early."""
    at = 1
    while text.startswith("[") and (begin := _BETWEEN.match(text, at)):
        try:
            value, at = _DECODER.raw_decode(text, begin.end())
        except (ValueError, RecursionError):
            return
        yield value


def _elsewhere(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where some servers of OpenAI's wire tell it: beside their name, or in a choice."""
    choices = facts.get("choices")
    last = choices[-1] if isinstance(choices, list) and choices else None
    for place in (facts.get("x_groq"), last):
        if isinstance(place, dict) and (usage := _within(place, "usage")):
            return usage
    return {}


def _as_number(value: object) -> int | None:
    """Some servers tell whole numbers as `50.0`; one of hundreds of digits fits no float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return max(-_MOST, min(int(value), _MOST))


def _number(facts: Mapping[str, Any], *names: str) -> int | None:
    """The sum of these; None if none is there."""
    found = [number for name in names if (number := _as_number(facts.get(name))) is not None]
    return min(max(0, sum(found)), _MOST) if found else None


def _within(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = facts.get(name)
    return inner if isinstance(inner, dict) else {}


def _either(new: int | None, before: int) -> int:
    return before if new is None else new


def _anthropic(usage: Mapping[str, Any], before: Tokens) -> Tokens:
    """A stream tells its prompt first and its output, as a running total, again and again."""
    return Tokens(
        _either(_number(usage, "input_tokens"), before.input),
        _either(_number(usage, "output_tokens"), before.output),
        _either(_number(usage, "cache_read_input_tokens"), before.cache_read),
        _either(_number(usage, "cache_creation_input_tokens"), before.cache_write),
        _either(
            _number(_within(usage, "cache_creation"), "ephemeral_1h_input_tokens"), before.cache_write_hour
        ),
        _either(_number(_within(usage, "server_tool_use"), "web_search_requests"), before.searches),
    )


def _openai(usage: Mapping[str, Any], before: Tokens) -> Tokens:
    details = _within(usage, "prompt_tokens_details") or _within(usage, "input_tokens_details")
    read = _number(details, "cached_tokens") or 0
    written = _number(details, "cache_write_tokens") or 0
    prompt = _number(usage, "prompt_tokens", "input_tokens")
    output = _number(usage, "completion_tokens", "output_tokens")
    if prompt is None and output is None:
        return before
    return Tokens(max(0, (prompt or 0) - read - written), output or 0, read, written)


def _gemini(usage: Mapping[str, Any], before: Tokens) -> Tokens:
    prompt = _number(usage, "promptTokenCount", "toolUsePromptTokenCount")
    output = _number(usage, "candidatesTokenCount", "thoughtsTokenCount")
    if prompt is None and output is None:
        return before
    read = _number(usage, "cachedContentTokenCount") or 0
    return Tokens(max(0, (prompt or 0) - read), output or 0, read)


def _ollama(usage: Mapping[str, Any], before: Tokens) -> Tokens:
    return Tokens(
        _either(_number(usage, "prompt_eval_count"), before.input),
        _either(_number(usage, "eval_count"), before.output),
    )


_READERS: Mapping[Wire, Callable[[Mapping[str, Any], Tokens], Tokens]] = {
    Wire.ANTHROPIC: _anthropic,
    Wire.OPENAI: _openai,
    Wire.GEMINI: _gemini,
    Wire.OLLAMA: _ollama,
}
