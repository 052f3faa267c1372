"""The Gemini API: `…/models/MODEL:generateContent` and `:streamGenerateContent`."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.llm.http import EVENTS, event, json_response
from tests.llm.script import Fault, Reply, Request, Response, Turn, Usage, as_text

_STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}


def matches(path: str) -> bool:
    return "/models/" in path and path.rpartition(":")[2].endswith(("enerateContent", "countTokens"))


def turn(request: Request, number: int) -> Turn | Response:
    if request.path.endswith(":countTokens"):
        return json_response({"totalTokens": len(json.dumps(dict(request.body))) // 4})
    contents = request.body.get("contents", [])
    said = [part for content in contents if content.get("role") == "user" for part in content["parts"]]
    declared = [tool.get("functionDeclarations", []) for tool in request.body.get("tools", [])]
    return Turn(
        wire="gemini",
        number=number,
        body=request.body,
        system_text=as_text(request.body.get("systemInstruction", {}).get("parts", [])),
        user_text=as_text(said),
        tool_results=tuple(_result(part) for part in said if "functionResponse" in part),
        tools=tuple(function["name"] for functions in declared for function in functions),
    )


def respond(request: Request, reply: Reply) -> Response:
    parts = list(_parts(reply))
    if request.path.endswith(":streamGenerateContent"):
        return Response(200, EVENTS, (event(_answer(parts)), event(_answer([], reply))))
    return json_response(_answer(parts, reply))


def fault(fault: Fault) -> Response:
    status = _STATUSES.get(fault.status, "UNAVAILABLE")
    error = {"code": fault.status, "message": fault.message, "status": status}
    return json_response({"error": error}, fault.status, dict(fault.headers))


def _result(part: Mapping[str, Any]) -> str:
    return json.dumps(part["functionResponse"].get("response", {}))


def _parts(reply: Reply) -> Iterator[dict[str, Any]]:
    if reply.text:
        yield {"text": reply.text}
    for name, arguments in reply.tool_calls:
        yield {"functionCall": {"name": name, "args": dict(arguments)}}


def _answer(parts: list[dict[str, Any]], ended: Reply | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    answer: dict[str, Any] = {"candidates": [candidate], "modelVersion": "scripted"}
    if ended is not None:
        candidate["finishReason"] = "SAFETY" if ended.refused else "STOP"
        answer["usageMetadata"] = _usage(ended.usage)
    return answer


def _usage(usage: Usage) -> dict[str, int]:
    prompt = usage.input + usage.cache_read
    return {
        "promptTokenCount": prompt,
        "candidatesTokenCount": usage.output,
        "totalTokenCount": prompt + usage.output,
        "cachedContentTokenCount": usage.cache_read,
    }
