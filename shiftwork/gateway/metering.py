"""Counting the tokens of an answer from the provider's own words, while it passes by."""

import asyncio
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import astuple, replace
from typing import Any

from shiftwork.gateway.call import Tokens
from shiftwork.gateway.documents import SLICE, Document, Inflation, splitter
from shiftwork.gateway.ends import is_end
from shiftwork.gateway.refusals import Wire
from shiftwork.gateway.usage import (
    INPUTS,
    MARKS,
    OUTPUTS,
    beside,
    found_facts,
    names_told,
    read_usage,
    said,
    usage_in,
    whole_facts,
)
from shiftwork.gateway.words import Words
from shiftwork.text import one_line, truncate

_MODEL_CHARACTERS = 200
_BYTES_PER_TOKEN = 4
"""What is taken for a token where the provider did not tell: a usual figure for English text and code."""

_INFLATED = frozenset({"gzip", "x-gzip", "deflate"})
_TURN = 0.01
"""Seconds for which it reads on before others have their turn."""


class Meter:
    """Reads along with one answer.

    Args:
        words: hears what the model says, too; None: nobody wants to know.

    Attributes:
        model: as the provider names it; empty until it does.
        tokens: as far as they were told.
        beside: those that are in none of these figures, by model; '' is the model itself.
        error: the error that a stream told of, as the provider wrote it.
        ended: whether a stream said that it is at its end; its body may go on for a moment.
    """

    def __init__(
        self, wire: Wire, content_type: str = "", encoding: str = "", words: Words | None = None
    ) -> None:
        self.model = ""
        self.tokens = Tokens()
        self.beside: Mapping[str, Tokens] = {}
        self.error: Mapping[str, Any] = {}
        self.ended = False
        self._told: set[str] = set()
        self._heard = 0
        self._untold = 0
        """Bytes that the model said since the provider last told its output."""
        self._wire = wire
        self._words = words
        self._documents = splitter(content_type)
        coding = encoding.strip().lower()
        self._inflation = Inflation() if coding in _INFLATED else None
        self._lost = coding not in {"", "identity", *_INFLATED}
        self._ending = self._last_steps()

    async def hear(self, data: bytes) -> None:
        """Look at the next piece of the body, without keeping others waiting."""
        await _in_turns(self._steps(data))

    async def end(self) -> None:
        """The body has ended, or was cut off: look at what is left, without keeping others waiting."""
        await _in_turns(self._ending)

    def feed(self, data: bytes) -> None:
        """Look at the next piece of the body at once."""
        for _ in self._steps(data):
            pass

    def finish(self) -> None:
        """The body has ended, or was cut off: look at what is left at once."""
        for _ in self._ending:
            pass

    def estimate(self, question: int) -> Tokens:
        """The tokens as they were told, with a guess at those that were not.

        Of an answer in which there is neither a figure nor a word every byte counts.

        Args:
            question: bytes of the request's body.
        """
        if self.error and not self._untold:
            return self.tokens
        untold = self._untold if self._untold or self._told else self._heard
        return replace(
            self.tokens,
            input=self.tokens.input if self._told & INPUTS else guess(question),
            output=self.tokens.output + guess(untold),
        )

    def _steps(self, data: bytes) -> Iterator[None]:
        """Each step takes a few milliseconds at most."""
        for piece in self._pieces(data):
            self._heard += len(piece)
            if self._lost:
                self._untold += len(piece)
            else:
                for document in self._documents.feed(piece):
                    yield from self._read(document)
            yield

    def _last_steps(self) -> Iterator[None]:
        for document in self._documents.finish():
            yield from self._read(document)

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        if self._inflation is not None and not self._lost:
            try:
                yield from self._inflation.feed(data)
            except zlib.error:
                self._lost = True
            else:
                return
        for at in range(0, len(data), SLICE):
            yield data[at : at + SLICE]

    def _read(self, document: Document) -> Iterator[None]:
        data = document.data
        if self._words is not None:
            yield from self._words.hear(document)
        yield
        if document.cut:
            self._untold += document.size
            yield from self._search(data)
            return
        self.ended = self.ended or is_end(self._wire, data)
        for size in said(self._wire, data):
            self._untold += size
            yield
        if any(mark in data for mark in MARKS) or (not self.model and b'"model' in data):
            found = False
            for facts in whole_facts(data):
                if facts is not None:
                    found = True
                    self._note(facts)
                yield
            if not found:
                yield from self._search(data)

    def _search(self, data: bytes) -> Iterator[None]:
        """What is found may be a part of what the model made up: the most that was told counts."""
        for facts in found_facts(data):
            if facts is not None:
                before = self.tokens
                self._note(facts)
                self.tokens = Tokens(*map(max, astuple(before), astuple(self.tokens)))
            yield

    def _note(self, told: Mapping[str, Any]) -> None:
        if isinstance(told.get("error"), dict | str):
            self.error = told
        inner = told.get("message") if self._wire is Wire.ANTHROPIC else told.get("response")
        for facts in (told, inner):
            if not isinstance(facts, dict):
                continue
            if isinstance(facts.get("error"), dict):
                self.error = facts
            model = facts.get("model") or facts.get("modelVersion")
            if isinstance(model, str):
                self.model = truncate(one_line(model[: 2 * _MODEL_CHARACTERS]), _MODEL_CHARACTERS)
            self._count(usage_in(self._wire, facts))

    def _count(self, usage: Mapping[str, Any]) -> None:
        if (more := beside(self._wire, usage)) is not None:
            self.beside = more
        names = names_told(usage) & (INPUTS | OUTPUTS)
        if not names:
            return
        self.tokens = read_usage(self._wire, usage, self.tokens)
        self._told |= names
        if names & OUTPUTS:
            self._untold = 0


async def _in_turns(steps: Iterator[None]) -> None:
    since = time.perf_counter()
    for _ in steps:
        if time.perf_counter() - since > _TURN:
            await asyncio.sleep(0)
            since = time.perf_counter()


def guess(size: int) -> int:
    """About how many tokens so many bytes are."""
    return -(-size // _BYTES_PER_TOKEN)
