"""Reading what an agent left in its outbox: hostile until it has been validated.

Nothing in here raises for what an agent wrote: each file or line that can't be read becomes one sentence,
which the next brief repeats, and costs nothing else.
"""

import json
import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from shiftwork.contracts.outbox import DecisionNote, Handoff, Outbox, ProgressNote, Question, Verdict
from shiftwork.contracts.plan import Plan
from shiftwork.contracts.session import Role
from shiftwork.text import one_line, printable, truncate

FILE_LIMIT = 1_048_576
"""Bytes of one file."""

LINE_LIMIT = 500
"""Lines of one `.jsonl` file."""

DEPTH_LIMIT = 40
"""Nesting of JSON; deeper documents are refused before they are built into objects."""

PROGRESS = "progress.json"
"""Where an agent that does a task says how far it is; read while it runs."""

PROGRESS_LIMIT = 4_096
"""Bytes of that."""

_MOST_NAMED = 200
"""Characters of a key that is named in a problem."""

Model = TypeVar("Model", bound=BaseModel)


class _Refused(Exception):  # noqa: N818 - never leaves this module
    """A file or line that can't be used, with the reason."""


def read_outbox(folder: Path, role: Role = Role.SESSION) -> Outbox:
    """Everything valid in the outbox; a plan counts only from an initializer, a verdict from a verifier."""
    problems: list[str] = []
    try:
        with _opened(folder) as fd:
            return _read_all(fd, role, problems)
    except _Refused as refused:
        return Outbox(problems=(str(refused),))


def read_progress(folder: Path) -> JsonValue:
    """How far an agent says that it is, also while it works; None: nothing that can be used. Blocks."""
    try:
        with _opened(folder) as fd:
            return _value(fd, PROGRESS, PROGRESS_LIMIT, [])
    except _Refused:
        return None


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise _Refused(f"the outbox itself can't be read ({error.strerror})") from error
    try:
        yield fd
    finally:
        os.close(fd)


def read_verdict(text: str) -> Verdict | None:
    """A verdict as `verdict.json` holds it; None if it is none."""
    try:
        return _parse(text, Verdict)
    except _Refused:
        return None


def _read_all(folder: int, role: Role, problems: list[str]) -> Outbox:
    return Outbox(
        plan=_one(folder, "plan.json", Plan, problems) if role is Role.INITIALIZER else None,
        handoff=_one(folder, "handoff.json", Handoff, problems),
        decisions=tuple(_many(folder, "decisions.jsonl", DecisionNote, problems)),
        progress=tuple(_many(folder, "progress.jsonl", ProgressNote, problems)),
        question=_one(folder, "question.json", Question, problems),
        verdict=_one(folder, "verdict.json", Verdict, problems) if role is Role.VERIFIER else None,
        how_far=_value(folder, PROGRESS, PROGRESS_LIMIT, problems),
        problems=tuple(truncate(problem, 500) for problem in problems[:50]),
    )


def _one(folder: int, name: str, model: type[Model], problems: list[str]) -> Model | None:
    try:
        text = _read(folder, name)
        return None if text is None else _parse(text, model)
    except _Refused as refused:
        problems.append(f"{name}: {refused}")
        return None


def _value(folder: int, name: str, limit: int, problems: list[str]) -> JsonValue:
    try:
        text = _read(folder, name, limit)
        return None if text is None else _load(text)
    except _Refused as refused:
        problems.append(f"{name}: {refused}")
        return None


def _many(folder: int, name: str, model: type[Model], problems: list[str]) -> Iterator[Model]:
    try:
        text = _read(folder, name) or ""
    except _Refused as refused:
        problems.append(f"{name}: {refused}")
        return
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if len(lines) > LINE_LIMIT:
        problems.append(f"{name}: {len(lines)} lines; only the first {LINE_LIMIT} were read")
    for number, line in lines[:LINE_LIMIT]:
        try:
            yield _parse(line, model)
        except _Refused as refused:
            problems.append(f"{name}, line {number}: {refused}")


def _read(folder: int, name: str, limit: int = FILE_LIMIT) -> str | None:
    """The text of a small regular file; None if there is none. Never follows a link, never waits."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _Refused(f"can't be opened ({error.strerror}); write a regular file") from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise _Refused("is not a regular file")
        data = _read_bytes(fd, limit)
    finally:
        os.close(fd)
    if len(data) > limit:
        raise _Refused(f"is larger than {limit:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Refused(f"is not UTF-8 (byte {error.start})") from error


def _read_bytes(fd: int, limit: int) -> bytes:
    """At most one byte more than the limit."""
    data = bytearray()
    while len(data) <= limit and (chunk := os.read(fd, limit + 1 - len(data))):
        data += chunk
    return bytes(data)


def _parse(text: str, model: type[Model]) -> Model:
    try:
        return model.model_validate(_load(text))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"])) or "the document"
        raise _Refused(one_line(f"{where}: {problem['msg']}")) from error


def _load(text: str) -> Any:
    if _depth(text) > DEPTH_LIMIT:
        raise _Refused(f"is nested deeper than {DEPTH_LIMIT} levels")
    try:
        return _clean(
            json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_once_each)
        )
    except ValueError as error:
        raise _Refused(one_line(f"is not JSON ({error})")) from error


def _finite(text: str) -> float:
    value = float(text)
    return value if isfinite(value) else _no_constant(text)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, its keys cleaned; of two values under one key, other readers would take the other one."""
    cleaned = [(_clean(key), value) for key, value in pairs]
    found = dict(cleaned)
    if len(found) < len(cleaned):
        twice = Counter(key for key, _ in cleaned).most_common(1)[0][0]
        # Half of a secret would not be known as one.
        named = repr(twice) if len(twice) <= _MOST_NAMED else f"a key of {len(twice):,} characters"
        raise ValueError(f"{named} appears twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{truncate(name, 40)} is no JSON number")


def _depth(text: str) -> int:
    """How deep brackets nest at most; brackets in strings don't count."""
    depth = deepest = 0
    inside = escaped = False
    for character in text:
        if inside:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                inside = False
        elif character == '"':
            inside = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _clean(value: Any) -> Any:
    """Strings without control characters, which a terminal or a page would act on; NUL can't be stored.

    Nor can halves of surrogate pairs, which JSON's escapes can spell.
    """
    if isinstance(value, str):
        return printable(value.encode("utf-8", "replace").decode())
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items()}
    return value
