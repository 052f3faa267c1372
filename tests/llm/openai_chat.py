"""The OpenAI Chat Completions API: `…/chat/completions`, streamed or not, and `…/v1/models`."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

from tests.llm.http import EVENTS, event, json_response
from tests.llm.script import Fault, Reply, Request, Response, Turn, Usage, as_text

_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}


def matches(path: str) -> bool:
    return path.endswith("/chat/completions")


def turn(request: Request, number: int) -> Turn | Response:
    messages = request.body.get("messages", [])
    return Turn(
        wire="openai_chat",
        number=number,
        body=request.body,
        system_text=_said_by(messages, "system", "developer"),
        user_text=_said_by(messages, "user"),
        tool_results=tuple(as_text(each.get("content")) for each in messages if each["role"] == "tool"),
        tools=tuple(tool["function"]["name"] for tool in request.body.get("tools", [])),
    )


def respond(request: Request, reply: Reply) -> Response:
    head = {"id": f"chatcmpl-{uuid4().hex}", "created": 1, "model": request.body.get("model", "scripted")}
    if request.body.get("stream"):
        return Response(200, EVENTS, tuple(_events({**head, "object": "chat.completion.chunk"}, reply)))
    choice = {"index": 0, "message": _message(reply), "finish_reason": _reason(reply)}
    usage = _usage(reply.usage)
    return json_response({**head, "object": "chat.completion", "choices": [choice], "usage": usage})


def fault(fault: Fault) -> Response:
    error = {"message": fault.message, "type": "error", "param": None, "code": _CODES.get(fault.status)}
    return json_response({"error": error}, fault.status, dict(fault.headers))


def _said_by(messages: list[Mapping[str, Any]], *roles: str) -> str:
    return "\n".join(as_text(message.get("content")) for message in messages if message["role"] in roles)


def _message(reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.tool_calls:
        message["tool_calls"] = [
            {
                "index": index,
                "id": f"call_{uuid4().hex[:24]}",
                "type": "function",
                "function": {
                    "name": name,
                    "arguments": json.dumps(dict(arguments))[: -1 if reply.malformed else None],
                },
            }
            for index, (name, arguments) in enumerate(reply.tool_calls)
        ]
    return message


def _reason(reply: Reply) -> str:
    if reply.failed:
        return "error"
    if reply.refused:
        return "content_filter"
    return "tool_calls" if reply.tool_calls else "stop"


def _usage(usage: Usage) -> dict[str, Any]:
    prompt = usage.input + usage.cache_read + usage.cache_write
    return {
        "prompt_tokens": prompt,
        "completion_tokens": usage.output,
        "total_tokens": prompt + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read},
    }


def _events(head: dict[str, Any], reply: Reply) -> Iterator[bytes]:
    yield event({**head, "choices": [{"index": 0, "delta": _message(reply)}]})
    yield event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": _reason(reply)}]})
    yield event({**head, "choices": [], "usage": _usage(reply.usage)})
    yield event("[DONE]")
