"""How what can be read without a tool is addressed."""

import re

from mcp import types

BASE = "shiftwork://projects/"
URI = re.compile(re.escape(BASE) + "([0-9a-f-]{4,36})/(report|status)")
KINDS = {
    "report": ("text/markdown", "The report of a project, in Markdown."),
    "status": ("application/json", "Where a project stands, as JSON."),
}


def templates() -> list[types.ResourceTemplate]:
    """How the resources of any project are addressed."""
    return [
        types.ResourceTemplate(
            name=f"project_{kind}", uriTemplate=f"{BASE}{{id}}/{kind}", mimeType=mime, description=text
        )
        for kind, (mime, text) in KINDS.items()
    ]
