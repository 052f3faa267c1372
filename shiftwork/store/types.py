"""Column types for text and JSON that others wrote, and what is cleaned on its way in.

PostgreSQL stores neither NUL characters nor lone surrogates, and JSON knows no NaN: what an agent left must
not be able to make a transaction fail, so such values are replaced on their way in.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Dialect, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator

from shiftwork.errors import InvalidInput

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Redacts(Protocol):
    """Takes secrets out of values; see `shiftwork.secrets.Redactor`."""

    def redact(self, text: str) -> str: ...

    def redact_json(self, value: Any) -> Any: ...

    def redact_exact(self, value: Any) -> Any: ...

    def secret_in(self, value: Any) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Exact:
    """A JSON value that must stay as it is: commands, names, paths.

    A column of it is refused if it holds a secret beyond doubt; as a field of another value, that is altered.
    """

    value: Any


class ExactText(str):
    """The same for the text of a column."""

    __slots__ = ()


class JsonText(str):
    """JSON as it goes to the server, redacted before it was dumped."""

    __slots__ = ()


def storable(text: str) -> str:
    """The text with U+FFFD in place of each character that PostgreSQL can't store."""
    if text.isascii() and "\x00" not in text:  # in a fraction of the time
        return text
    return _UNSTORABLE.sub("\ufffd", text)


def json_serializer(redactor: Redacts | None) -> Callable[[Any], JsonText]:
    """What turns values into JSON for the server; redacts them first, as nothing can be taken out of JSON."""

    def serialize(value: Any) -> JsonText:
        return JsonText(dump_json(value if redactor is None else _redacted(value, redactor)))

    return serialize


def clean_parameter(value: Any, redactor: Redacts) -> Any:
    """A statement's parameter without secrets; JSON is clean already.

    Raises:
        InvalidInput: it must stay as it is, and holds one.
    """
    match value:
        case JsonText():
            return value
        case ExactText():
            return _refused(str(value), redactor)
        case str():
            return redactor.redact(value)
        case list() | tuple():
            return [clean_parameter(item, redactor) for item in value]
        case _:
            return value


def dump_json(value: Any) -> str:
    """The value as JSON that PostgreSQL accepts; numbers that are not finite become null."""
    return json.dumps(_clean(value), ensure_ascii=False, allow_nan=False)


def _redacted(value: Any, redactor: Redacts) -> Any:
    """The value without secrets; what is exact may stand at its top, or be a field of it."""
    match value:
        case Exact(value=inner):
            return _refused(inner, redactor)
        case dict():
            exact = {key: item for key, item in value.items() if isinstance(item, Exact)}
            prose = redactor.redact_json({key: item for key, item in value.items() if key not in exact})
            return {**prose, **{key: redactor.redact_exact(item.value) for key, item in exact.items()}}
        case _:
            return redactor.redact_json(value)


def _refused(value: Any, redactor: Redacts) -> Any:
    """The value itself: without its secret it would be another command or name, and be used as that."""
    if name := redactor.secret_in(value):
        raise InvalidInput(
            f"A name, path, command or option would hold the secret {name!r}, and would be stored as it is: "
            "have commands read it from a variable or a file."
        )
    return value


def _clean(value: Any) -> Any:
    match value:
        case Exact(value=inner):
            return _clean(inner)
        case str():
            return storable(value)
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {storable(str(key)): _clean(item) for key, item in value.items()}
        case list() | tuple():
            return [_clean(item) for item in value]
        case _:
            return value


class Prose(TypeDecorator[str]):
    """Text of any length and any origin."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Make the text storable."""
        return None if value is None else storable(value)


class ExactProse(TypeDecorator[str]):
    """Text of any origin that means something to programs: a name, a path, a branch."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Make the text storable, and mark it."""
        return None if value is None else ExactText(storable(value))


class ExactJson(TypeDecorator[Any]):
    """JSON that means something to programs: options, verification steps."""

    impl = JSONB(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Exact | None:  # noqa: ARG002
        """Mark the value."""
        return None if value is None else Exact(value)
