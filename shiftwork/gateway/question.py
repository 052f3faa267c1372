"""A question to a model's provider: its body is looked at before it leaves."""

import asyncio
import json
import re
import sys
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from shiftwork.gateway import toplevel
from shiftwork.gateway.head import Head, malformed
from shiftwork.gateway.refusals import Reason, Refused
from shiftwork.gateway.toplevel import MALFORMED, Question, read_question
from shiftwork.text import one_line

AT_ONCE = 256 * 1024
"""Bytes of a body that are read here; a larger one is read by a process of its own."""

_PARTS = 16_000
"""Objects and values that a body read here may have: many small ones take far longer than text."""

_MODEL = re.compile(rb'(?<!\\)"model"\s{0,9}:\s{0,9}"([ !#-\[\]-~]{1,200})"')

_UTF8 = frozenset({"utf-8", "utf8"})
_PIECE = 64 * 1024
_PATIENCE = 10.0
"""Seconds until a large body is given up; the process has a shorter limit of its own, of computing time."""


class Reading:
    """Reads the questions of one session, one at a time.

    Args:
        processes: how many large ones the whole gateway reads at once.
    """

    def __init__(self, processes: asyncio.Semaphore) -> None:
        self._processes = processes
        self._one = asyncio.Lock()

    async def read(self, data: bytes) -> Question:
        """Read a body; raises `Refused` if it is no JSON object that every reader reads alike."""
        async with self._one:
            if _is_quick(data):
                return _read_here(data)
            async with self._processes:
                return await _read_apart(data)


def _is_quick(data: bytes) -> bool:
    return len(data) <= AT_ONCE and sum(map(data.count, (b",", b"{", b"["))) <= _PARTS


def model_told(data: bytes) -> str:
    """The model that a body tells, if that is quickly said; else nothing."""
    try:
        return one_line(_read_here(data).model) if _is_quick(data) else ""
    except Refused:
        return ""


def model_seen(first: bytes) -> str:
    """The model that the beginning of a body seems to tell: good for the log, and not for a decision."""
    match = _MODEL.search(first)
    return one_line(match[1].decode()) if match else ""


def _read_here(data: bytes) -> Question:
    try:
        return read_question(data)
    except ValueError:
        raise _no_object() from None


async def _read_apart(data: bytes) -> Question:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-S",
        str(Path(toplevel.__file__)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
    )
    try:
        async with asyncio.timeout(_PATIENCE):
            said, _ = await asyncio.gather(_said(process), _tell(process, data))
            status = await process.wait()
    except TimeoutError:
        raise _too_much() from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if status == MALFORMED:
        raise _no_object()
    if status != 0:
        raise _too_much()
    facts = json.loads(said)
    facts["options"] = tuple(facts["options"]) if facts["options"] else None
    return Question(**facts)


async def _said(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    return await process.stdout.read()


async def _tell(process: asyncio.subprocess.Process, data: bytes) -> None:
    assert process.stdin is not None
    with suppress(ConnectionError):  # It ended before it had all: its exit status says why.
        for at in range(0, len(data), _PIECE):
            process.stdin.write(data[at : at + _PIECE])
            await process.stdin.drain()
    process.stdin.close()


def check_encoding(head: Head) -> None:
    """Raise `Refused` for a body that can't be looked at."""
    if (head.get("content-encoding") or "identity").lower() != "identity":
        raise malformed("a body with a content-encoding can't be looked at.", 415)


def check_json(head: Head) -> None:
    """Raise `Refused` for a body that is not JSON, whose answer would not be either."""
    kind = (head.get("content-type") or "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise malformed("questions are asked in JSON here.", 415)


def check_charset(head: Head) -> None:
    """Raise `Refused` for a body that says that it is to be read otherwise than it is read here."""
    for told in (head.get("content-type") or "").split(";")[1:]:
        name, _, charset = told.partition("=")
        if name.strip().lower() == "charset" and charset.strip().strip("\"'").lower() not in _UTF8:
            raise malformed("questions are asked in UTF-8 here.", 415)


def check_foreground(question: Question) -> None:
    """Raise `Refused` for an answer that would be made, and cost, after the request has ended."""
    if question.background:
        raise Refused(403, Reason.FORBIDDEN, "answers in the background can't be metered.")


def check_model(models: tuple[str, ...], model: str, *, others: bool = False) -> None:
    """Raise `Refused` unless the model fits one of these, if there are any, and none is named beside it."""
    if models and (others or not any(_fits(model, pattern) for pattern in models)):
        raise Refused(
            403,
            Reason.MODEL,
            f"this session may ask no model but {', '.join(models)}, and each question has to name one.",
        )


def _fits(model: str, pattern: str) -> bool:
    """Whether this is that model, to the letter, or one of those that the pattern means; none is not."""
    return bool(model) and (model == pattern or fnmatchcase(model, pattern))


def metered_chat(question: Question, data: bytes) -> bytes:
    """A chat completion that tells its tokens also when it streams."""
    if question.options is None:
        return data
    start, end, text = question.options
    return b"".join((data[:start], text.encode(), data[end:]))


def _no_object() -> Refused:
    return malformed("the request's body is no plain JSON object.")


def _too_much() -> Refused:
    return Refused(413, Reason.TOO_LARGE, "the request's body has more in it than can be looked at.")
