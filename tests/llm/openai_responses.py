"""The OpenAI Responses API: `/v1/responses`, streamed or not."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

from tests.llm.http import EVENTS, event, json_response
from tests.llm.script import Fault, Reply, Request, Response, Turn, Usage, as_text

_CODES = {
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


def matches(path: str) -> bool:
    return path.endswith("/responses")


def turn(request: Request, number: int) -> Turn:
    given = request.body.get("input", [])
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    said = [item for item in items if item.get("type", "message") == "message"]
    system = [as_text(item["content"]) for item in said if item["role"] in ("system", "developer")]
    return Turn(
        wire="openai_responses",
        number=number,
        body=request.body,
        system_text="\n".join([str(request.body.get("instructions") or ""), *system]).strip(),
        user_text="\n".join(as_text(item["content"]) for item in said if item["role"] == "user"),
        tool_results=tuple(
            as_text(item["output"]) for item in items if item.get("type") == "function_call_output"
        ),
        tools=tuple(str(tool.get("name", tool["type"])) for tool in _tools(request, items)),
    )


def respond(request: Request, reply: Reply) -> Response:
    output = list(_output(reply))
    whole = {
        "id": f"resp_{uuid4().hex}",
        "object": "response",
        "created_at": 0,
        "model": request.body.get("model", "scripted"),
        "status": "completed",
        "output": output,
        "usage": _usage(reply.usage),
    }
    if not request.body.get("stream"):
        return json_response(whole)
    return Response(200, EVENTS, tuple(_events(whole, output)))


def fault(fault: Fault) -> Response:
    default = "server_error" if fault.status >= 500 else "invalid_request_error"
    kind, code = _CODES.get(fault.status, (default, None))
    body = {"error": {"message": fault.message, "type": kind, "param": None, "code": code}}
    return json_response(body, fault.status, dict(fault.headers))


def _tools(request: Request, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Some programs give them as an item of the input."""
    more = [tool for item in items if item.get("type") == "additional_tools" for tool in item["tools"]]
    return [*request.body.get("tools", []), *more]


def _output(reply: Reply) -> Iterator[dict[str, Any]]:
    if reply.text:
        content = (
            {"type": "refusal", "refusal": reply.text}
            if reply.refused
            else {"type": "output_text", "text": reply.text, "annotations": []}
        )
        yield {
            "type": "message",
            "id": f"msg_{uuid4().hex}",
            "role": "assistant",
            "status": "completed",
            "content": [content],
        }
    for name, arguments in reply.tool_calls:
        yield {
            "type": "function_call",
            "id": f"fc_{uuid4().hex}",
            "call_id": f"call_{uuid4().hex}",
            "name": name,
            "arguments": json.dumps(arguments),
            "status": "completed",
        }


def _usage(usage: Usage) -> dict[str, Any]:
    total = usage.input + usage.cache_read + usage.cache_write
    return {
        "input_tokens": total,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": total + usage.output,
    }


def _events(whole: Mapping[str, Any], output: list[dict[str, Any]]) -> Iterator[bytes]:
    start = {**whole, "status": "in_progress", "output": [], "usage": None}
    yield _event("response.created", 0, response=start)
    for index, item in enumerate(output):
        yield _event("response.output_item.added", 3 * index + 1, output_index=index, item=_empty(item))
        if item["type"] == "message" and item["content"][0]["type"] == "output_text":
            where = {"item_id": item["id"], "output_index": index, "content_index": 0}
            text = item["content"][0]["text"]
            yield _event("response.output_text.delta", 3 * index + 2, delta=text, logprobs=[], **where)
        yield _event("response.output_item.done", 3 * index + 3, output_index=index, item=item)
    yield _event("response.completed", 3 * len(output) + 1, response=whole)


def _empty(item: Mapping[str, Any]) -> dict[str, Any]:
    rest = {"content": []} if item["type"] == "message" else {"arguments": ""}
    return {**item, **rest, "status": "in_progress"}


def _event(name: str, number: int, **facts: Any) -> bytes:
    return event({"type": name, "sequence_number": number, **facts}, name)
