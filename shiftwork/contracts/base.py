"""The two base classes, and the text types that bound what may be written."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.functional_validators import AfterValidator

from shiftwork.text import one_line

VERSION = 1
"""The version of every contract; a reader refuses what is newer."""


class Message(BaseModel):
    """What our own processes send each other; unknown fields come from a newer version and are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Document(BaseModel):
    """A file that a person or an agent writes; unknown fields are mistakes and are refused by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _shown(text: str) -> str:
    """The text on one line, in which something can be seen."""
    line = one_line(text)
    if not line:
        raise ValueError("holds no character that can be seen")
    return line


Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120), AfterValidator(_shown)
]
"""One line of at most 120 printable characters: it appears in commits, lists and histories."""

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20_000)]
"""Prose of at most 20,000 characters."""

Tag = Annotated[str, StringConstraints(min_length=1, max_length=60)]
Tags = Annotated[tuple[Tag, ...], Field(max_length=20)]
