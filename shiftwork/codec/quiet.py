"""Logging of aiohttp's server, without what anybody could have it log."""

import logging

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError

_BROKEN = (HttpProcessingError, ClientPayloadError, web.PayloadAccessError, web.RequestPayloadError)
"""What aiohttp raises for heads and bodies that are no HTTP."""


def quiet_logger(name: str) -> logging.Logger:
    """A logger for aiohttp's server that says nothing of what is no HTTP, because anybody can send it."""
    logger = logging.getLogger(name)
    logger.addFilter(_is_ours)
    return logger


def _is_ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], _BROKEN))
