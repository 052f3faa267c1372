"""What agents are told of their role: one Markdown file each, with a version; a project may have its own."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from shiftwork.contracts.session import Role

_HEAD = re.compile(r"<!-- \w+, version (\d+) -->\n")

PROJECTS_OWN = "project"
"""The version of a prompt that a project brought itself."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What an agent in this role is told, and which version of it that is."""

    role: Role
    version: str
    text: str


def prompt_for(role: Role, own: Mapping[Role, str]) -> Prompt:
    """The project's own prompt for this role, or ours."""
    if role in own:
        return Prompt(role, PROJECTS_OWN, own[role].strip())
    text = files(__name__).joinpath(f"{role}.md").read_text(encoding="utf-8")
    head = _HEAD.match(text)
    assert head is not None, f"{role}.md begins with its version"
    return Prompt(role, head[1], text[head.end() :].strip())
