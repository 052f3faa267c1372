"""Nothing that is logged shows a secret."""

import io
import json
import logging

import pytest

from shiftwork.secrets import RedactingFilter, RedactingFormatter, Redactor, Secret, protect_handler

VALUE = "s3cr3t-value-0123"
REDACTOR = Redactor([Secret("env:KEY", VALUE)])


class JsonFormatter(logging.Formatter):
    """A formatter as programs have them: takes attributes of the record itself."""

    def format(self, record):
        return json.dumps({"message": record.getMessage(), "extra": getattr(record, "extra", None)})


@pytest.fixture
def log():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.Logger("test")  # noqa: LOG001 - no other test may meet it
    logger.addHandler(handler)
    return logger, handler, stream


def fail():
    raise ValueError(f"wrong key {VALUE}")


def test_all_parts_of_a_record_are_redacted(log):
    """If this failed, an exception's text or an argument would put a secret in the log."""
    logger, handler, stream = log
    handler.addFilter(RedactingFilter(REDACTOR))

    logger.info("key %s", VALUE)
    logger.info("keys %r", {"a": VALUE, VALUE: 1})
    try:
        fail()
    except ValueError:
        logger.exception("failed", stack_info=True)

    assert VALUE not in stream.getvalue()
    assert stream.getvalue().startswith("key [redacted:env:KEY]\n")
    assert "ValueError: wrong key [redacted:env:KEY]" in stream.getvalue()


def test_extra_attributes_are_redacted(log):
    """If this failed, structured logs would hold what the text does not."""
    logger, handler, stream = log
    handler.setFormatter(JsonFormatter())
    protect_handler(handler, REDACTOR)

    logger.info("x", extra={"extra": {"deep": [VALUE]}})

    assert json.loads(stream.getvalue()) == {"message": "x", "extra": {"deep": ["[redacted:env:KEY]"]}}


def test_wrong_arguments_show_nothing(log, capsys):
    """If this failed, logging would print the arguments of a broken call on standard error."""
    logger, handler, stream = log
    handler.addFilter(RedactingFilter(REDACTOR))

    logger.info("one %d", VALUE)
    logger.info("%s %s", VALUE)  # noqa: PLE1206 - the mistake that is tried

    assert VALUE not in stream.getvalue() + capsys.readouterr().err
    assert stream.getvalue().count("logged what can't be shown (") == 2


def test_a_formatter_alone_redacts_too(log):
    """If this failed, a handler without the filter would show secrets."""
    logger, handler, stream = log
    handler.setFormatter(RedactingFormatter(REDACTOR, logging.Formatter("%(levelname)s %(message)s")))
    try:
        fail()
    except ValueError:
        logger.exception("key %s", VALUE)

    assert stream.getvalue().startswith("ERROR key [redacted:env:KEY]\nTraceback")
    assert VALUE not in stream.getvalue()
