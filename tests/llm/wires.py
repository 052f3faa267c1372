"""The wire modules; the first one that matches a path gets the request.

A wire module has these functions:

- `matches(path) -> bool`: whether requests to this path are its own.
- `turn(request, number) -> Turn | Response`: the question to the model, or the answer to anything else.
- `respond(request, reply) -> Response`: the model's answer as the provider writes it; several chunks stream.
- `fault(fault) -> Response`: an error as the provider writes it.
"""

from typing import Protocol

from tests.llm import anthropic, gemini, ollama, openai_chat, openai_responses
from tests.llm.script import Fault, Reply, Request, Response, Turn


class Wire(Protocol):
    """See above."""

    def matches(self, path: str) -> bool: ...

    def turn(self, request: Request, number: int) -> Turn | Response: ...

    def respond(self, request: Request, reply: Reply) -> Response: ...

    def fault(self, fault: Fault) -> Response: ...


def wires() -> tuple[Wire, ...]:
    """Every wire module."""
    return (anthropic, openai_chat, gemini, openai_responses, ollama)
