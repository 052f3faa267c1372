"""Counting the tokens of an answer from the provider's own words, while it passes by."""

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from shiftwork.gateway.call import Tokens
from shiftwork.gateway.refusals import Wire
from shiftwork.text import one_line, truncate

_KEPT = 32 * 1024 * 1024
"""Bytes of an answer, or of one event of a stream, that are looked at; what is larger is not understood."""

_MODEL_CHARACTERS = 200
_BYTES_PER_TOKEN = 4
"""What is taken for a token where the provider did not tell: a usual figure for English text and code."""

_TEXT = rb'"\s*:\s*"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_SAID = re.compile(
    rb'"(?:text|content|thinking|partial_json|arguments|refusal|reasoning|reasoning_content)' + _TEXT,
    re.DOTALL,
)
_SAID_IN_RESPONSES = re.compile(rb'"delta' + _TEXT, re.DOTALL)
"""Their later events say again what the deltas said."""

_OUTPUTS = frozenset({"output_tokens", "completion_tokens", "candidatesTokenCount", "thoughtsTokenCount"})
_INPUTS = frozenset({"input_tokens", "prompt_tokens", "promptTokenCount"})


class Meter:
    """Reads along with one answer.

    Attributes:
        model: as the provider names it; empty until it does.
        tokens: as far as they were told.
        error: the error that a stream told of, as the provider wrote it.
    """

    def __init__(self, wire: Wire, content_type: str = "", encoding: str = "") -> None:
        self.model = ""
        self.tokens = Tokens()
        self.error: Mapping[str, Any] = {}
        self._input_told = False
        self._untold = 0
        """Bytes that the model said since the provider last told its output."""
        self._wire = wire
        self._stream = content_type.lower().startswith("text/event-stream")
        self._inflate = zlib.decompressobj(47) if encoding.lower() in {"gzip", "deflate"} else None
        self._kept = bytearray()
        self._event = bytearray()
        self._lost = encoding.lower() not in {"", "identity", "gzip", "deflate"}

    def feed(self, data: bytes) -> None:
        """Look at the next piece of the body."""
        if self._inflate is not None:
            data = self._inflated(data)
        if self._lost:
            self._untold += len(data)
            return
        self._kept += data
        if self._stream and b"\n" in data:
            self._lines()
        if len(self._kept) + len(self._event) > _KEPT:
            self._lose()

    def finish(self) -> None:
        """The body has ended, or was cut off."""
        if self._stream:
            self._dispatch()
        elif self._kept:
            self._hear(bytes(self._kept))
            self._kept.clear()

    def estimate(self, question: int) -> Tokens:
        """The tokens as they were told, with a guess at those that were not.

        Args:
            question: bytes of the request's body.
        """
        if self.error and not self._untold:
            return self.tokens
        return replace(
            self.tokens,
            input=self.tokens.input if self._input_told else guess(question),
            output=self.tokens.output + guess(self._untold),
        )

    def _inflated(self, data: bytes) -> bytes:
        assert self._inflate is not None
        try:
            return self._inflate.decompress(data, _KEPT)
        except zlib.error:
            self._lose()
            return b""

    def _lose(self) -> None:
        self._lost = True
        self._untold += len(self._kept) + len(self._event)
        self._kept.clear()
        self._event.clear()

    def _lines(self) -> None:
        *lines, rest = self._kept.split(b"\n")
        self._kept = bytearray(rest)
        for line in lines:
            stripped = line.rstrip(b"\r")
            if stripped.startswith(b"data:"):
                self._event += stripped[5:]
            elif not stripped:
                self._dispatch()

    def _dispatch(self) -> None:
        event = bytes(self._event)
        self._event.clear()
        if b'"usage' in event or b'"error"' in event or (not self.model and b'"model' in event):
            self._hear(event)
        else:
            self._untold += _said(event)

    def _hear(self, data: bytes) -> None:
        self._untold += _said(data)
        for value in _values(data):
            self._note(value)

    def _note(self, said: Mapping[str, Any]) -> None:
        if isinstance(said.get("error"), dict):
            self.error = said
        inner = said.get("message") if self._wire is Wire.ANTHROPIC else said.get("response")
        for facts in (said, inner):
            if not isinstance(facts, dict):
                continue
            if isinstance(facts.get("error"), dict):
                self.error = facts
            model = facts.get("model") or facts.get("modelVersion")
            if isinstance(model, str):
                self.model = truncate(one_line(model), _MODEL_CHARACTERS)
            usage = facts.get("usageMetadata" if self._wire is Wire.GEMINI else "usage")
            if isinstance(usage, dict):
                self.tokens = _READERS[self._wire](usage, self.tokens)
                told = {name for name, number in usage.items() if isinstance(number, int)}
                self._input_told = self._input_told or bool(told & _INPUTS)
                self._untold = 0 if told & _OUTPUTS else self._untold


def guess(size: int) -> int:
    """About how many tokens so many bytes are."""
    return -(-size // _BYTES_PER_TOKEN)


def _said(data: bytes) -> int:
    """Bytes of what the model says in an event or a body."""
    pattern = _SAID_IN_RESPONSES if b'"response.' in data else _SAID
    return sum(len(match[1]) for match in pattern.finditer(data))


def _values(data: bytes) -> Iterator[Mapping[str, Any]]:
    """The objects of a body: one, or a list's; of one that was cut off, those that are whole."""
    text = data.decode("utf-8", "replace").strip()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        yield from _whole(text)
        return
    yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict))


def _whole(text: str) -> Iterator[Mapping[str, Any]]:
    """The objects at the front of a list that ends too early."""
    decoder, at = json.JSONDecoder(), 1
    while text.startswith("[") and at < len(text):
        if text[at] in ", \r\n\t":
            at += 1
            continue
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        if isinstance(value, dict):
            yield value


def _number(facts: Mapping[str, Any], *names: str) -> int | None:
    """The sum of these; None if none is there."""
    found = [facts[name] for name in names if isinstance(facts.get(name), int)]
    return min(max(0, sum(found)), 2**53) if found else None


def _within(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = facts.get(name)
    return inner if isinstance(inner, dict) else {}


def _anthropic(usage: Mapping[str, Any], before: Tokens) -> Tokens:
    """A stream tells its prompt first and its output, as a running total, again and again."""
    told = {
        "input": _number(usage, "input_tokens"),
        "output": _number(usage, "output_tokens"),
        "cache_read": _number(usage, "cache_read_input_tokens"),
        "cache_write": _number(usage, "cache_creation_input_tokens"),
    }
    return Tokens(**{name: getattr(before, name) if new is None else new for name, new in told.items()})


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


_READERS = {Wire.ANTHROPIC: _anthropic, Wire.OPENAI: _openai, Wire.GEMINI: _gemini}
