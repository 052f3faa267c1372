"""Answers as JSON in which nothing that is shown in a terminal steers it."""

from typing import Any

from starlette.responses import JSONResponse

from shiftwork.text import printable_json


class Answer(JSONResponse):
    """JSON; control characters and invisible ones are escaped, so that nothing is lost."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return printable_json(content).encode()
