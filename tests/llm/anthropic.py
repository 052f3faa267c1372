"""The Anthropic Messages API: `/v1/messages`, streamed or not, and `/v1/messages/count_tokens`."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

from tests.llm.http import EVENTS, event, json_response
from tests.llm.script import Fault, Reply, Request, Response, Turn, Usage, as_text

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_PATHS = ("/v1/messages", "/v1/messages/count_tokens", "/v1/models")


def matches(path: str) -> bool:
    return path in _PATHS or path.startswith("/v1/messages/")


def turn(request: Request, number: int) -> Turn | Response:
    if request.path == "/v1/messages/count_tokens":
        return json_response({"input_tokens": len(json.dumps(dict(request.body))) // 4})
    if request.path == "/v1/models":
        return json_response({"data": [], "has_more": False})
    messages = request.body.get("messages", [])
    blocks = [block for message in messages if message["role"] == "user" for block in _blocks(message)]
    return Turn(
        wire="anthropic",
        number=number,
        body=request.body,
        system_text=as_text(request.body.get("system", "")),
        user_text="\n".join(block["text"] for block in blocks if block.get("type") == "text"),
        tool_results=tuple(
            as_text(block.get("content", "")) for block in blocks if block.get("type") == "tool_result"
        ),
        tools=tuple(tool["name"] for tool in request.body.get("tools", [])),
    )


def respond(request: Request, reply: Reply) -> Response:
    content = list(_content(reply))
    message = {
        "id": f"msg_{uuid4().hex[:24]}",
        "type": "message",
        "role": "assistant",
        "model": request.body.get("model", "scripted"),
        "content": content,
        "stop_reason": _stop_reason(reply),
        "stop_sequence": None,
        "usage": _usage(reply.usage),
    }
    if not request.body.get("stream"):
        return json_response(message)
    return Response(200, EVENTS, tuple(_events(message, content, malformed=reply.malformed)))


def fault(fault: Fault) -> Response:
    kind = _ERROR_TYPES.get(fault.status, "api_error")
    body = {"type": "error", "error": {"type": kind, "message": fault.message}}
    return json_response(body, fault.status, dict(fault.headers))


def _blocks(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _content(reply: Reply) -> Iterator[dict[str, Any]]:
    if reply.text:
        yield {"type": "text", "text": reply.text}
    for name, arguments in reply.tool_calls:
        yield {"type": "tool_use", "id": f"toolu_{uuid4().hex[:24]}", "name": name, "input": dict(arguments)}


def _stop_reason(reply: Reply) -> str:
    if reply.refused:
        return "refusal"
    return "tool_use" if reply.tool_calls else "end_turn"


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation_input_tokens": usage.cache_write,
    }


def _events(message: dict[str, Any], content: list[dict[str, Any]], *, malformed: bool) -> Iterator[bytes]:
    usage = {**message["usage"], "output_tokens": 1}
    start = {**message, "content": [], "stop_reason": None, "usage": usage}
    yield event({"type": "message_start", "message": start}, "message_start")
    for index, block in enumerate(content):
        if block["type"] == "text":
            empty, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": block["text"]}
        else:
            empty = {**block, "input": {}}
            arguments = json.dumps(block["input"])[: -1 if malformed else None]
            delta = {"type": "input_json_delta", "partial_json": arguments}
        yield _block_event("start", index, content_block=empty)
        yield _block_event("delta", index, delta=delta)
        yield _block_event("stop", index)
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    last = {"type": "message_delta", "delta": delta, "usage": message["usage"]}
    yield event(last, "message_delta")
    yield event({"type": "message_stop"}, "message_stop")


def _block_event(what: str, index: int, **more: Any) -> bytes:
    name = f"content_block_{what}"
    return event({"type": name, "index": index, **more}, name)
