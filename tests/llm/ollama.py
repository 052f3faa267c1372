"""Ollama's own API: `/api/chat`, `/api/generate`, `/api/tags`, `/api/show` and `/api/embed`."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.llm.http import json_response
from tests.llm.script import Fault, Reply, Request, Response, Turn, Usage, as_text

_NDJSON = {"content-type": "application/x-ndjson"}
_CREATED = "2026-01-01T00:00:00Z"
_PROMPT = 8
"""Tokens of whatever is embedded."""


def matches(path: str) -> bool:
    return path in {"/api/chat", "/api/generate", "/api/tags", "/api/show", "/api/embed"}


def turn(request: Request, number: int) -> Turn | Response:
    model = request.body.get("model", "scripted")
    if request.path == "/api/tags":
        return json_response({"models": [{"name": "scripted", "model": "scripted", "details": {}}]})
    if request.path == "/api/show":
        return json_response({"details": {}, "model_info": {}, "capabilities": ["completion", "tools"]})
    if request.path == "/api/embed":
        given = request.body.get("input", "")
        vectors = [[0.5, 0.25]] * (1 if isinstance(given, str) else len(given))
        return json_response({"model": model, "embeddings": vectors, "prompt_eval_count": _PROMPT})
    messages = request.body.get("messages", [])
    return Turn(
        wire="ollama",
        number=number,
        body=request.body,
        system_text=str(request.body.get("system") or _said_by(messages, "system")),
        user_text=str(request.body.get("prompt") or _said_by(messages, "user")),
        tool_results=tuple(as_text(each.get("content")) for each in messages if each["role"] == "tool"),
        tools=tuple(tool["function"]["name"] for tool in request.body.get("tools") or []),
    )


def respond(request: Request, reply: Reply) -> Response:
    """Streamed unless the question says that it is not to be, as Ollama does it."""
    said = _generated if request.path == "/api/generate" else _message
    head = {"model": request.body.get("model", "scripted"), "created_at": _CREATED}
    if request.body.get("stream", True):
        return Response(200, _NDJSON, tuple(_lines(head, reply, said(reply), said(Reply()))))
    return json_response({**head, **said(reply), **_end(reply)})


def fault(fault: Fault) -> Response:
    return json_response({"error": fault.message}, fault.status, dict(fault.headers))


def _said_by(messages: list[Mapping[str, Any]], role: str) -> str:
    return "\n".join(as_text(message.get("content")) for message in messages if message["role"] == role)


def _generated(reply: Reply) -> dict[str, Any]:
    return {"response": reply.text}


def _message(reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.tool_calls:
        message["tool_calls"] = [
            {"function": {"name": name, "arguments": dict(arguments)}} for name, arguments in reply.tool_calls
        ]
    return {"message": message}


def _lines(
    head: dict[str, Any], reply: Reply, said: dict[str, Any], nothing: dict[str, Any]
) -> Iterator[bytes]:
    yield _line({**head, **said, "done": False})
    yield _line({**head, **nothing, **_end(reply)})


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _end(reply: Reply) -> dict[str, Any]:
    return {"done": True, "done_reason": "stop", "total_duration": 1, **_usage(reply.usage)}


def _usage(usage: Usage) -> dict[str, int]:
    """Ollama does not tell what came from a cache."""
    prompt = usage.input + usage.cache_read + usage.cache_write
    return {"prompt_eval_count": prompt, "eval_count": usage.output}
