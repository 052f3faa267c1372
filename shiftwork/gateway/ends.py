"""What says that a streamed answer is at its end, in each provider's words."""

import json
import re

from shiftwork.gateway.refusals import Wire

_DONE = b"[DONE]"
_LAST = ("message_stop", "response.completed", "response.incomplete", "response.failed")
_MARKS = re.compile(rb'"(?:message_stop|response\.(?:completed|incomplete|failed))"|"done"\s*:\s*true')


def is_end(wire: Wire, data: bytes) -> bool:
    """Whether a document of a stream is its last one: a client may act on it before the body ends.

    Gemini's streams have none: they are over with their body, and so they are for their clients.
    """
    if wire is Wire.OPENAI and data.strip() == _DONE:
        return True
    if _MARKS.search(data) is None:
        return False
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        return False
    if not isinstance(told, dict):
        return False
    return told.get("done") is True if wire is Wire.OLLAMA else told.get("type") in _LAST
