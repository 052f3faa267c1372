"""What a script of the model server sees of a request, and what it may answer."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Request:
    """One HTTP request; header names are in lower case, `body` is parsed JSON ({} if it is none)."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Response:
    """One HTTP response; several chunks are a stream, sent one by one."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Turn:
    """One question to the model.

    Attributes:
        wire: name of the wire module.
        number: which question to this server it is, from 1.
        body: the request as the program sent it.
        system_text: the system prompt.
        user_text: all that the user said in this conversation, without results of tools.
        tool_results: all results of tools in this conversation, in order.
        tools: names of the tools that the model may call; none in a program's side questions (titles).
    """

    wire: str
    number: int
    body: Mapping[str, Any]
    system_text: str = ""
    user_text: str = ""
    tool_results: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()


@dataclass(frozen=True)
class Usage:
    """Tokens of one answer; `input` does not include those from the cache."""

    input: int = 100
    output: int = 10
    cache_read: int = 0
    cache_write: int = 0


@dataclass(frozen=True)
class Reply:
    """An answer of the model: prose, then calls of tools as (name, arguments).

    `refused`: it declines; `failed`: its provider does, on the wires that can tell. `malformed`: the
    arguments of its calls have no end (streamed, by Anthropic's and OpenAI's chat wires).
    """

    text: str = ""
    tool_calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    usage: Usage = Usage()
    refused: bool = False
    failed: bool = False
    malformed: bool = False


@dataclass(frozen=True)
class Fault:
    """An answer that is none; without a body, the wire module writes the provider's own for that status."""

    status: int
    message: str = "the script says so"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Drop:
    """Close the connection: before an answer, or in the middle of the one given."""

    reply: Reply | None = None


@dataclass(frozen=True)
class Hang:
    """Never answer."""


Answer = Reply | Fault | Drop | Hang
Script = Callable[[Turn], Answer]


def in_order(*answers: Answer) -> Script:
    """A script that gives these answers one after the other, the last one for ever.

    A program's side questions, which offer no tools, are answered without counting.
    """
    remaining = list(answers)

    def script(turn: Turn) -> Answer:
        if not turn.tools:
            return Reply("ok")
        return remaining.pop(0) if len(remaining) > 1 else remaining[0]

    return script


def as_text(content: Any) -> str:
    """The text in a message's content: a string, or a list of blocks with `text`."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Iterable):
        return ""
    return "\n".join(
        str(block["text"]) for block in content if isinstance(block, Mapping) and "text" in block
    )
