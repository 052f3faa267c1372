"""What of a question's JSON the gateway looks at: the names at its top. Also a program, for large ones.

The program runs by itself, with nothing but the standard library: whatever a body makes of itself in memory
and time is made, and bounded, outside of the worker.
"""

import gc
import json
import math
import re
import resource
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

MALFORMED = 65
"""The program's exit status if its input is no plain JSON object."""

_MEMORY = 512 * 1024 * 1024
_SECONDS = 5
_MODEL_CHARACTERS = 200
_NAME = 32
"""Characters of the longest name that may be taken for one that is looked at."""
_BLANK = re.compile(r"[ \t\r\n]*")
_LOOKED_AT = frozenset({"model", "models", "fallbacks", "stream", "stream_options", "background"})


@dataclass(frozen=True, slots=True)
class Question:
    """A question, as far as the gateway looks at it.

    Attributes:
        model: that is asked, at most 200 characters of it; empty if it is not told.
        others: whether it names further models, to fall back to.
        background: whether its answer would be made after the request has ended.
        options: None unless it asks for a stream; else what makes a chat tell its tokens: the bytes of the
            body from the first number to the second are to be replaced by this text.
    """

    model: str
    others: bool
    background: bool
    options: tuple[int, int, str] | None


@dataclass(frozen=True, slots=True)
class _Member:
    value: Any
    start: int
    end: int


def read_question(data: bytes) -> Question:
    """Read a body; raises `ValueError` unless it is a JSON object that every reader reads alike."""
    try:
        text = data.decode("utf-8")
        members = dict(_members(text))
    except RecursionError:
        raise ValueError("too deep") from None
    values = {name: member.value for name, member in members.items()}
    model = values.get("model")
    return Question(
        model=model[:_MODEL_CHARACTERS] if isinstance(model, str) else "",
        others=bool(values.get("models") or values.get("fallbacks")),
        background=bool(values.get("background")),
        options=_options(text, members.get("stream_options")) if values.get("stream") else None,
    )


def _members(text: str) -> Iterator[tuple[str, _Member]]:
    """The members at the top. What is below them is checked only for being JSON: no hook runs for it."""
    decoder, seen = json.JSONDecoder(parse_constant=_no_constant), set()
    at, mark = _after(text, 0, "{"), ","
    if text.startswith("}", at):
        at, mark = at + 1, "}"
    while mark == ",":
        name, at = decoder.raw_decode(text, at)
        if not isinstance(name, str) or name in seen or _misspelt(name):
            raise ValueError("a name is there twice, or none")
        seen.add(name)
        start = _after(text, at, ":")
        value, end = decoder.raw_decode(text, start)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("not finite")
        # Only what is looked at is kept: all else may be large.
        yield name, _Member(value if name in _LOOKED_AT else None, start, end)
        at = _blank(text, end)
        mark = text[at : at + 1]
        at = _blank(text, at + 1)
    if mark != "}" or at != len(text):
        raise ValueError("no object, or more than one")


def _misspelt(name: str) -> bool:
    """Whether only some readers take it for a name that is looked at: they mind no case, or no control."""
    if name in _LOOKED_AT:
        return False
    seen = "".join(mark for mark in name.partition("\0")[0] if mark.isprintable() and not mark.isspace())
    return len(seen) <= _NAME and unicodedata.normalize("NFKC", seen).casefold() in _LOOKED_AT


def _options(text: str, told: _Member | None) -> tuple[int, int, str]:
    kept = told.value if told and isinstance(told.value, dict) else {}
    wanted = json.dumps({**kept, "include_usage": True}, allow_nan=False)
    if told is not None:
        return _bytes(text, told.start), _bytes(text, told.end), wanted
    at = _bytes(text, text.index("{") + 1)
    return at, at, f'"stream_options": {wanted}, '


def _bytes(text: str, at: int) -> int:
    return len(text[:at].encode())


def _blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _after(text: str, at: int, mark: str) -> int:
    """Where it goes on behind this mark and the blanks around it."""
    at = _blank(text, at)
    if not text.startswith(mark, at):
        raise ValueError(f"no {mark}")
    return _blank(text, at + 1)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def main() -> int:
    """Read a body from the standard input, and write what is looked at to the standard output."""
    gc.disable()
    with suppress(ValueError, OSError):  # Where a system has no such limit, the caller's patience has one.
        resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    try:
        question = read_question(sys.stdin.buffer.read())
    except ValueError:
        return MALFORMED
    sys.stdout.write(json.dumps(asdict(question)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
