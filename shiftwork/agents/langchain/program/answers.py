"""What of an answer can be relied on: chat models give on what was cut off as if it were whole."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, cast

from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackManager
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata, add_ai_message_chunks
from langchain_core.messages.tool import ToolCall, invalid_tool_call, tool_call

from shiftwork.agents.langchain.program.calls import Asked, Call, make_fit
from shiftwork.agents.langchain.program.figures import counted, keepable
from shiftwork.text import truncate

CUT: Final = "The answer was cut off here"
"""The error of a call that an answer at its greatest length ended with."""

MISNAMED: Final = "There is no tool named"
"""How the error of a call begins whose name no provider takes back."""

_NAME_CHARACTERS: Final = 80
"""Of such a name that the model is told again."""

_UNKEPT: Final = "a number in them is too large"

_TOO_LONG: Final = frozenset(
    {"length", "max_tokens", "max_output_tokens", "model_context_window_exceeded", "model_length"}
)
"""By which reasons for its end an answer is not all that the model had to say; in lower case."""

_FAILED: Final = frozenset({"error", "failed"})
"""By which the provider itself failed while it answered, and nothing of it is to be done; in lower case."""

_REASONS: Final = ("stop_reason", "finish_reason", "done_reason", "stopReason", "status")
"""Under which names providers say why an answer ended."""

_GIVING_REASONS: Final = frozenset({"anthropic", "openai", "google_genai", "ollama"})


class BrokenOff(ConnectionError):  # noqa: N818 - reads as what it is
    """An answer that ended without saying why: its connection was cut."""


class Listener(AsyncCallbackHandler):
    """Hears the pieces of streamed answers, of which the whole no longer tells how its calls were written."""

    raise_error = True
    run_inline = True

    def __init__(self) -> None:
        self._pieces: ContextVar[list[AIMessageChunk] | None] = ContextVar("pieces", default=None)

    @contextmanager
    def listening(self) -> Iterator[list[AIMessageChunk]]:
        """The pieces of the answer that comes within this context; it has as many as there were."""
        pieces: list[AIMessageChunk] = []
        token = self._pieces.set(pieces)
        try:
            yield pieces
        finally:
            self._pieces.reset(token)

    async def on_llm_new_token(self, token: Any, *, chunk: Any = None, **_: Any) -> None:  # noqa: ARG002
        """See `AsyncCallbackHandler.on_llm_new_token`."""
        pieces, message = self._pieces.get(), getattr(chunk, "message", None)
        if pieces is not None and isinstance(message, AIMessageChunk):
            pieces.append(AIMessageChunk(content="", tool_call_chunks=message.tool_call_chunks))


def listen_to(model: BaseChatModel) -> Listener:
    """A listener for all that this model is asked."""
    listener = Listener()
    if isinstance(model.callbacks, BaseCallbackManager):
        model.callbacks.add_handler(listener)
    else:
        model.callbacks = [*(model.callbacks or ()), listener]
    return listener


def reason_of(answer: AIMessage) -> str:
    """Why the answer ended, in the provider's word; '' if it did not say."""
    told = answer.response_metadata
    details = told.get("incomplete_details")
    if isinstance(details, dict) and details.get("reason"):
        return str(details["reason"])
    return next((str(told[name]) for name in _REASONS if told.get(name)), "")


def is_cut(answer: AIMessage) -> bool:
    """Whether the model had more to say than it may at once."""
    return reason_of(answer).lower() in _TOO_LONG


def has_failed(answer: AIMessage) -> bool:
    """Whether the provider says that it failed at this answer, as routers of many providers do."""
    return reason_of(answer).lower() in _FAILED


def is_broken_off(answer: AIMessage, pieces: Sequence[AIMessageChunk], *, named: bool) -> bool:
    """Whether a streamed answer just stopped; `named`: by a provider's package, all of which give reasons."""
    gives = named or answer.response_metadata.get("model_provider") in _GIVING_REASONS
    return bool(pieces) and gives and not reason_of(answer)


def mend(answer: AIMessage, pieces: Sequence[AIMessageChunk], asked: Asked) -> None:
    """Leave in `tool_calls` only what can be called, each by its own id; only what can be kept and sent."""
    calls = _read_strictly(answer, pieces) if pieces else None
    replaced = make_fit(answer, calls or [*answer.tool_calls, *answer.invalid_tool_calls], asked)
    _refuse_misnamed(answer, replaced)
    _refuse_unkept(answer)
    if is_cut(answer):
        _refuse_last(answer, calls[-1]["id"] if calls else None)
    answer.content = clean(answer.content)
    answer.tool_calls = clean(answer.tool_calls)
    answer.invalid_tool_calls = clean(answer.invalid_tool_calls)
    answer.additional_kwargs = clean(answer.additional_kwargs)
    answer.response_metadata = clean(answer.response_metadata)
    if answer.usage_metadata is not None:
        answer.usage_metadata = cast("UsageMetadata", counted(answer.usage_metadata))


def clean(value: Any) -> Any:
    """The same, with surrogates joined or replaced, and numbers out of bounds as text.

    They can be neither written nor sent.
    """
    match value:
        case int() | float() if not keepable(value):
            return f"{value:g}" if isinstance(value, float) else hex(value)
        case str() if not value.isascii():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict():
            return {clean(key): clean(item) for key, item in value.items()}
        case list():
            return [clean(item) for item in value]
        case _:
            return value


def _read_strictly(answer: AIMessage, pieces: Sequence[AIMessageChunk]) -> list[Call] | None:
    """Read the arguments of calls as they were written: LangChain completes those that have no end.

    Returns:
        The calls in the order in which they were written; None: what LangChain gives on is what there is.
    """
    written = add_ai_message_chunks(pieces[0], *pieces[1:]).tool_call_chunks
    if len(written) != len(answer.tool_calls) + len(answer.invalid_tool_calls):
        return None  # Pieces of another model within this one.
    calls: list[Call] = []
    answer.tool_calls, answer.invalid_tool_calls = [], []
    for call in written:
        name, arguments, call_id = call["name"] or "", call["args"] or "", call["id"]
        try:
            read = _read(arguments)
        except (ValueError, RecursionError) as error:
            broken = invalid_tool_call(name=name, args=arguments, id=call_id, error=str(error))
            answer.invalid_tool_calls.append(broken)
            calls.append(broken)
        else:
            answer.tool_calls.append(tool_call(name=name, args=read, id=call_id))
            calls.append(answer.tool_calls[-1])
    return calls


def _read(arguments: str) -> dict[str, Any]:
    read = json.loads(arguments or "{}", strict=False, parse_constant=_refuse_constant)
    if isinstance(read, dict):
        return read
    raise ValueError("they are no object")


def _refuse_misnamed(answer: AIMessage, replaced: Mapping[str, str]) -> None:
    """No provider would take them back, whatever the model meant; `replaced`: see `make_fit`."""
    for call in [call for call in answer.tool_calls if call["id"] in replaced]:
        _refuse(answer, call, "")
    for broken in answer.invalid_tool_calls:
        if (name := replaced.get(broken["id"] or "")) is not None:
            broken["error"] = f"{MISNAMED} {truncate(name, _NAME_CHARACTERS)!r}"


def _refuse_unkept(answer: AIMessage) -> None:
    """Calls with a number that can't be kept or sent again would end the conversation."""
    for call in [call for call in answer.tool_calls if not keepable(call["args"])]:
        _refuse(answer, call, _UNKEPT)


def _refuse(answer: AIMessage, call: ToolCall, why: str) -> None:
    answer.tool_calls.remove(call)
    broken = invalid_tool_call(name=call["name"], args="", id=call["id"], error=why)
    answer.invalid_tool_calls.append(broken)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _refuse_last(answer: AIMessage, last: str | None) -> None:
    """The call at which the answer was cut may lack its end even if it can be read; `last`: its id."""
    for broken in answer.invalid_tool_calls:
        if last is None or broken["id"] == last:
            broken["error"] = CUT
            return
    if answer.tool_calls:
        call = answer.tool_calls.pop()
        answer.invalid_tool_calls.append(
            invalid_tool_call(name=call["name"], args=json.dumps(call["args"]), id=call["id"], error=CUT)
        )
