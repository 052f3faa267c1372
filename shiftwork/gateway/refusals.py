"""Saying no in the words of the provider that an agent believes to talk to."""

import json
from dataclasses import dataclass
from enum import StrEnum

REFUSAL_HEADER = "x-shiftwork-refused"
"""Set on every answer that the gateway gave by itself; its value is a `Reason`."""


class Wire(StrEnum):
    """The wire formats of model providers."""

    ANTHROPIC = "anthropic"
    OPENAI = "openai"
    GEMINI = "gemini"
    OLLAMA = "ollama"


class Reason(StrEnum):
    """Why the gateway answered by itself."""

    MALFORMED = "malformed"
    CREDENTIAL = "credential"
    FORBIDDEN = "forbidden"
    MODEL = "model"
    UNKNOWN_PATH = "unknown-path"
    TOO_LARGE = "too-large"
    TOO_SLOW = "too-slow"
    BUSY = "busy"
    BUDGET = "budget"
    UPSTREAM = "upstream"
    INTERNAL = "internal"


@dataclass(eq=False)
class Refused(Exception):  # noqa: N818 - it names what happened
    """A request that is answered by the gateway itself.

    Attributes:
        status: of the answer.
        reason: for programs.
        message: for people; repeats nothing that a client sent.
        headers: further ones of the answer.
    """

    status: int
    reason: Reason
    message: str
    headers: tuple[tuple[str, str], ...] = ()


_ANTHROPIC = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
}
_OPENAI = {
    401: ("authentication_error", "invalid_api_key"),
    402: ("insufficient_quota", "insufficient_quota"),
    403: ("permission_error", "forbidden"),
    404: ("invalid_request_error", "not_found"),
}
_OPENAI_MODEL = ("invalid_request_error", "model_not_found")
"""What OpenAI itself says, also by 403, of a model that a project may not ask."""
_GEMINI = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    504: "DEADLINE_EXCEEDED",
}


def body_of(refused: Refused, wire: Wire | None) -> bytes:
    """The JSON body of a refusal, in the shape of the wire; without one in OpenAI's."""
    return json.dumps(_shape(refused, f"Shiftwork's gateway: {refused.message}", wire)).encode()


def _shape(refused: Refused, message: str, wire: Wire | None) -> dict[str, object]:
    status = refused.status
    fault = status >= 500
    if wire is Wire.ANTHROPIC:
        kind = _ANTHROPIC.get(status, "api_error" if fault else "invalid_request_error")
        return {"type": "error", "error": {"type": kind, "message": message}}
    if wire is Wire.GEMINI:
        name = _GEMINI.get(status, "UNAVAILABLE" if fault else "INVALID_ARGUMENT")
        return {"error": {"code": status, "message": message, "status": name}}
    if wire is Wire.OLLAMA:
        return {"error": message}
    default = ("server_error", None) if fault else ("invalid_request_error", None)
    kind, code = _OPENAI.get(status, default)
    if refused.reason is Reason.MODEL:
        kind, code = _OPENAI_MODEL
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
