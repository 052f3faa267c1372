"""What a verifier says, heard from its own events and, where there is a gateway, from its model's answers."""

import json
import re
from collections import deque

from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.agents.outbox import read_verdict
from shiftwork.contracts.outbox import Verdict
from shiftwork.verification.word import Word, consents, vetoes_in

_KEPT = 400_000
"""Characters of one message; of a longer one the end is kept once its lines were looked at."""

_MOST_REASONS = 20
_VERDICT = re.compile(r'\{\s*"steps"')
_MOST_VERDICTS = 20
_TOOLS = (AgentEventKind.TOOL_USE, AgentEventKind.TOOL_RESULT)


class Spoken:
    """Listens to one run of a verifier.

    Vetoes add up and are never taken back: code that is judged may be able to add to what is heard, but has
    nothing to gain by a veto. A text is looked at alone, and in all that its message says: nothing before
    or after it takes its veto away. The parts of a text are one.

    Args:
        quotes_model: what the program says are its model's own words, so that these must have been heard on
            their way to it; see `AgentBackend.quotes_model`.
    """

    def __init__(self, *, quotes_model: bool) -> None:
        self._quotes_model = quotes_model
        self._pieces: list[list[str]] = []
        self._in_parts = False
        self._size = 0
        self._last: list[str] = []
        self._vetoes: dict[str, None] = {}
        self._over = False
        self._went_on = False
        self._answers_consented: bool | None = None

    def hear(self, event: AgentEvent) -> None:
        """One event; texts with nothing between them but thoughts and figures are one message."""
        match event.kind:
            case AgentEventKind.TEXT if event.text:
                self._add(event)
            case AgentEventKind.THINKING:
                self._in_parts = False
            case AgentEventKind.FINISHED:
                self._end_message()
                self._went_on = self._went_on or self._over
                self._over = True
            case kind if kind in _TOOLS:
                self._end_message()
                self._last = []  # it went on after what it said
                self._went_on = self._went_on or self._over

    def answer(self, text: str) -> None:
        """What the model said in one answer, as the gateway heard it, whole or not."""
        self._note(vetoes_in(text))
        self._answers_consented = bool(self._answers_consented) or consents(text)

    def word(self, *, by_itself: bool, gateway: bool) -> Word:
        """What it all says.

        Args:
            by_itself: its program ended by itself, and well.
            gateway: its model was asked through a gateway, which heard the answers.
        """
        self._end_message()
        forms = _joined(self._last)
        unheard = self._quotes_model and gateway and not self._answers_consented
        doubts = {
            "The program did not end by itself with status 0: it was ended, or left something running.": (
                not by_itself
            ),
            "The program went on after it had said that it was over.": self._went_on,
            "The model's own answers, as the gateway heard them, don't end with that line.": unheard,
        }
        return Word(
            vetoes=tuple(self._vetoes),
            consents=any(map(consents, forms)),
            verdict=next((found for form in forms if (found := _verdict_in(form)) is not None), None),
            doubts=tuple(doubt for doubt, holds in doubts.items() if holds),
        )

    def _add(self, event: AgentEvent) -> None:
        if event.part and self._in_parts:
            self._pieces[-1].append(event.text)
        else:
            self._pieces.append([event.text])
        self._in_parts = event.part
        self._size += len(event.text)
        if self._size > 2 * _KEPT:
            kept = "\n".join(self._read_message())[-_KEPT:]
            self._pieces, self._in_parts, self._size = [[kept]], False, _KEPT

    def _end_message(self) -> None:
        if not self._pieces:
            return
        texts = self._read_message()
        # What comes after the end is no last message, but may be a veto.
        if not self._over:
            self._last = texts
        self._pieces, self._in_parts, self._size = [], False, 0

    def _read_message(self) -> list[str]:
        """Note what vetoes in the message so far; returns its texts."""
        texts = ["".join(parts) for parts in self._pieces]
        by_line, in_one = _joined(texts)
        whole = tuple(reason for text in dict.fromkeys((*texts, by_line)) for reason in vetoes_in(text))
        self._note(whole)
        # Where lines were joined a reason has the next line at its end.
        self._note(tuple(reason for reason in vetoes_in(in_one) if not reason.startswith(whole)))
        return texts

    def _note(self, reasons: tuple[str, ...]) -> None:
        for reason in reasons:
            if len(self._vetoes) < _MOST_REASONS:
                self._vetoes.setdefault(reason)


def _joined(texts: list[str]) -> tuple[str, str]:
    """Some programs print line by line, or message by message; others don't tell what is a part of a line."""
    return "\n".join(texts), "".join(texts)


def _verdict_in(text: str) -> Verdict | None:
    """The last verdict that a message holds as JSON."""
    decoder = json.JSONDecoder()
    for match in reversed(deque(_VERDICT.finditer(text), _MOST_VERDICTS)):
        try:
            _, end = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        if (verdict := read_verdict(text[match.start() : end])) is not None:
            return verdict
    return None
