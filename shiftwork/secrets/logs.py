"""Logging without secrets."""

import logging
import traceback
from typing import Any, AnyStr, Protocol

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class Redacts(Protocol):
    """What a `Redactor` does, and a `LazyRedactor`."""

    def redact(self, text: AnyStr) -> AnyStr: ...

    def redact_json(self, value: Any) -> Any: ...


class RedactingFilter(logging.Filter):
    """Redacts every record that passes: message, arguments, exception, stack and extra attributes.

    It belongs on handlers: filters on a logger don't see the records of the loggers below it. The record
    itself is changed, so that no later handler can show more.
    """

    def __init__(self, redactor: Redacts) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record; lets all pass."""
        record.msg = self._redactor.redact(_message(record))
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        record.exc_info = None  # the text is what is left of it
        if record.exc_text:
            record.exc_text = self._redactor.redact(record.exc_text)
        if record.stack_info:
            record.stack_info = self._redactor.redact(record.stack_info)
        for name in record.__dict__.keys() - _STANDARD:
            record.__dict__[name] = self._redactor.redact_json(record.__dict__[name])
        return True


class RedactingFormatter(logging.Formatter):
    """Redacts what another formatter made of a record, whatever it took from it."""

    def __init__(self, redactor: Redacts, inner: logging.Formatter | None = None) -> None:
        super().__init__()
        self._redactor = redactor
        self._inner = inner or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        """The redacted line, or lines."""
        return self._redactor.redact(self._inner.format(record))


def protect_handler(handler: logging.Handler, redactor: Redacts) -> None:
    """Have this handler show no secret, in whatever its formatter takes from a record."""
    handler.addFilter(RedactingFilter(redactor))
    handler.setFormatter(RedactingFormatter(redactor, handler.formatter))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - as logging itself: no record ends the program
        # Logging would print message and arguments on standard error, unredacted.
        return f"{record.pathname}:{record.lineno} logged what can't be shown ({type(error).__name__})"
