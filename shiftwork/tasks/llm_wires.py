"""One question to a model and its answer, as each protocol writes them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shiftwork.agents.protocol import Wire


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked; `max_tokens` and `temperature` None: as the provider has it."""

    model: str
    instruction: str
    system: str = ""
    max_tokens: int | None = None
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """How one protocol is spoken.

    Attributes:
        path: of a question.
        body: of a question, as JSON.
        text: what the model said, of an answer.
        headers: that every question has.
    """

    path: Callable[[Question], str]
    body: Callable[[Question], dict[str, Any]]
    text: Callable[[Mapping[str, Any]], str]
    headers: Mapping[str, str]


_ANTHROPIC_TOKENS = 4_096
"""It has to be told how long an answer may be."""


def _anthropic(question: Question) -> dict[str, Any]:
    return _said(
        model=question.model,
        max_tokens=question.max_tokens or _ANTHROPIC_TOKENS,
        temperature=question.temperature,
        system=question.system or None,
        messages=[{"role": "user", "content": question.instruction}],
    )


def _anthropic_text(answer: Mapping[str, Any]) -> str:
    return "".join(block["text"] for block in answer["content"] if block.get("type") == "text")


def _openai(question: Question) -> dict[str, Any]:
    return _said(
        model=question.model,
        max_completion_tokens=question.max_tokens,
        temperature=question.temperature,
        messages=_messages(question),
    )


def _openai_text(answer: Mapping[str, Any]) -> str:
    message = answer["choices"][0]["message"]
    return str(message.get("content") or message.get("refusal") or "")


def _gemini(question: Question) -> dict[str, Any]:
    options = _said(maxOutputTokens=question.max_tokens, temperature=question.temperature)
    system = {"parts": [{"text": question.system}]} if question.system else None
    return _said(
        contents=[{"role": "user", "parts": [{"text": question.instruction}]}],
        systemInstruction=system,
        generationConfig=options or None,
    )


def _gemini_text(answer: Mapping[str, Any]) -> str:
    candidates = answer.get("candidates") or [{}]
    parts = candidates[0].get("content", {}).get("parts") or []
    return "".join(str(part.get("text", "")) for part in parts if not part.get("thought"))


def _ollama(question: Question) -> dict[str, Any]:
    options = _said(num_predict=question.max_tokens, temperature=question.temperature)
    return _said(model=question.model, messages=_messages(question), stream=False, options=options or None)


def _ollama_text(answer: Mapping[str, Any]) -> str:
    return str(answer["message"].get("content") or "")


def _messages(question: Question) -> list[dict[str, str]]:
    system = [{"role": "system", "content": question.system}] if question.system else []
    return [*system, {"role": "user", "content": question.instruction}]


def _said(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def asking(wire: Wire) -> Asking:
    """How this protocol is spoken."""
    match wire:
        case "anthropic":
            headers = {"anthropic-version": "2023-06-01"}
            return Asking(lambda _: "/v1/messages", _anthropic, _anthropic_text, headers)
        case "openai":
            return Asking(lambda _: "/v1/chat/completions", _openai, _openai_text, {})
        case "gemini":
            return Asking(
                lambda question: f"/v1beta/models/{question.model}:generateContent", _gemini, _gemini_text, {}
            )
        case "ollama":
            return Asking(lambda _: "/api/chat", _ollama, _ollama_text, {})
