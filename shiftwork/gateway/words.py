"""What a model says to its client in one answer: its prose, without its thoughts and its calls of tools."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from shiftwork.gateway.documents import Document
from shiftwork.gateway.refusals import Wire

_MOST = 1_000_000
"""Characters of one answer; of what follows nothing is heard."""

Piece = tuple[object, str]
"""Which block of the answer a text continues, and the text; none where there is none."""


class Words:
    """Listens to one answer, streamed or whole."""

    def __init__(self, wire: Wire) -> None:
        self._read = _READERS[wire]
        self._blocks: dict[object, list[str]] = {}
        self._room = _MOST

    def hear(self, document: Document) -> Iterator[None]:
        """The next document of the answer, in steps; one that is cut, or that is no JSON, says nothing."""
        if document.cut:
            return
        try:
            told = json.loads(document.data)
        except (ValueError, RecursionError):
            return
        for facts in told if isinstance(told, list) else [told]:
            for block, text in self._read(_mapping(facts)):
                if text:
                    self._blocks.setdefault(block, []).append(text[: self._room])
                    self._room -= min(self._room, len(text))
                yield
            yield

    def text(self) -> str:
        """All of it so far, each block on lines of its own."""
        return "\n".join("".join(pieces) for pieces in self._blocks.values())


def _anthropic(facts: Mapping[str, Any]) -> Iterator[Piece]:
    delta = _mapping(facts.get("delta"))
    if delta.get("type") == "text_delta":
        yield from _text(facts.get("index"), delta.get("text"))
    start = _mapping(facts.get("content_block"))
    if start.get("type") == "text":
        yield from _text(facts.get("index"), start.get("text"))
    for number, block in enumerate(_objects(facts.get("content"))):
        yield from _text(number, block.get("text") if block.get("type") == "text" else "")


def _openai(facts: Mapping[str, Any]) -> Iterator[Piece]:
    for choice in _objects(facts.get("choices")):
        for name in ("delta", "message"):
            yield from _content(choice.get("index"), _mapping(choice.get(name)).get("content"))
    # Of a stream the deltas; what its later events repeat would be said twice.
    if facts.get("type") == "response.output_text.delta":
        yield from _text((facts.get("output_index"), facts.get("content_index")), facts.get("delta"))
    for number, item in enumerate(_objects(facts.get("output"))):
        yield from _content((number, 0), item.get("content"))


def _gemini(facts: Mapping[str, Any]) -> Iterator[Piece]:
    for candidate in _objects(facts.get("candidates")):
        for part in _objects(_mapping(candidate.get("content")).get("parts")):
            yield from _text(
                candidate.get("index"), part.get("text") if part.get("thought") is not True else ""
            )


def _ollama(facts: Mapping[str, Any]) -> Iterator[Piece]:
    yield from _text(0, _mapping(facts.get("message")).get("content"))
    yield from _text(0, facts.get("response"))


def _content(block: object, content: object) -> Iterator[Piece]:
    yield from _text(block, content)
    for number, part in enumerate(_objects(content)):
        yield from _text((block, number), part.get("text"))


def _text(block: object, text: object) -> Iterator[Piece]:
    yield (block if isinstance(block, int | tuple) else 0), (text if isinstance(text, str) else "")


def _objects(value: object) -> Iterable[Mapping[str, Any]]:
    return map(_mapping, value) if isinstance(value, list) else ()


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


_READERS: Mapping[Wire, Callable[[Mapping[str, Any]], Iterator[Piece]]] = {
    Wire.ANTHROPIC: _anthropic,
    Wire.OPENAI: _openai,
    Wire.GEMINI: _gemini,
    Wire.OLLAMA: _ollama,
}
