"""Around each call of a tool: what is told of it, what is remembered, and what an interruption means."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from langchain.agents.middleware.types import AgentMiddleware, ToolCallRequest
from langchain_core.messages import ToolMessage
from langgraph.errors import GraphBubbleUp
from langgraph.types import Command

from shiftwork.agents.events import Problem
from shiftwork.agents.langchain.program.answers import clean
from shiftwork.agents.langchain.program.asking import Overflow
from shiftwork.agents.langchain.program.endings import Ending, Troubled
from shiftwork.agents.langchain.program.memory import Memory
from shiftwork.agents.langchain.program.voice import Voice

INTERRUPTED = "This call was interrupted; whether it took effect is not known. Look before you repeat it."

REPEATABLE = frozenset({"ls", "read_file", "glob", "grep", "write_todos", "task"})
"""Tools that change nothing when they are called again; `task` goes on where its agent was."""

MOST_MALFORMED = 5
"""Calls in a row that name no tool, or whose arguments don't fit it; answers that were cut off count too."""

_SHOWN_CHARACTERS = 40_000
"""Of one result; its middle is left out."""

_PART_CHARACTERS = 4_000_000
"""Of a part of a result that is not text; no provider takes much more."""

_LEFT_OUT = {"type": "text", "text": "(A part of the result is too large, and was left out.)"}

_LASTED = "The tool took too long and was given up; whether it took effect is not known."

_TOLD_CHARACTERS = 2_000
"""Of one result in an event."""


class CallingMiddleware(AgentMiddleware[Any, Any, Any]):
    """Tells of each call, and sees to it that none is done twice without the model knowing.

    Args:
        timeouts: seconds, by the names of tools that nobody else limits.
    """

    def __init__(self, memory: Memory, voice: Voice, timeouts: Mapping[str, float]) -> None:
        super().__init__()
        self._memory = memory
        self._voice = voice
        self._timeouts = timeouts

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """See `AgentMiddleware.awrap_tool_call`."""
        name, call_id = request.tool_call["name"], str(request.tool_call["id"])
        if request.tool is None:
            return self._malformed(await handler(request))
        key = (_namespace(request), call_id)
        if name not in REPEATABLE:
            if key in self._memory.begun:
                return ToolMessage(INTERRUPTED, name=name, tool_call_id=call_id, status="error")
            self._memory.begun.add(key)
            self._memory.save()
        self._voice.say("tool_use", text=name, data={"arguments": _told(request.tool_call["args"])})
        result = self._judged(await self._called(request, handler))
        self._tell(name, result)
        return result

    async def _called(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        timeout = asyncio.timeout(self._timeouts.get(request.tool_call["name"]))
        try:
            async with timeout:
                return await handler(request)
        except (Ending, Overflow, GraphBubbleUp):
            raise
        except Exception as error:  # noqa: BLE001 - a tool of anybody's; the model is told, and can do something else
            sentence = _LASTED if timeout.expired() else f"The tool failed: {type(error).__name__}: {error}"
            name, call_id = request.tool_call["name"], str(request.tool_call["id"])
            return ToolMessage(sentence, name=name, tool_call_id=call_id, status="error")

    def _judged(self, result: ToolMessage | Command[Any]) -> ToolMessage | Command[Any]:
        if isinstance(result, ToolMessage):
            if _arguments_refused(result):
                return self._malformed(result)
            result.content = clean(_fitting(result.content))
            artifact = result.artifact if isinstance(result.artifact, dict) else {}
            # The rest of it is for programs, of any size, and would be kept with the conversation.
            result.artifact = {key: artifact[key] for key in ("exit_code",) if key in artifact} or None
        self._memory.spending.malformed = 0
        return result

    def _malformed(self, result: ToolMessage | Command[Any]) -> ToolMessage | Command[Any]:
        count_malformed(self._memory)
        return result

    def _tell(self, name: str, result: ToolMessage | Command[Any]) -> None:
        if not isinstance(result, ToolMessage):
            self._voice.say("tool_result", ok=True, text="", data={"tool": name})
            return
        text = result.text[:_TOLD_CHARACTERS]
        artifact = result.artifact if isinstance(result.artifact, dict) else {}
        status = artifact.get("exit_code")
        data = {"tool": name} | ({"status": status} if isinstance(status, int) else {})
        self._voice.say("tool_result", ok=result.status == "success" and not status, text=text, data=data)


def count_malformed(memory: Memory, what: str = "called tools wrongly") -> None:
    """Note one more call that can't be done; raises `Troubled` when there were too many in a row."""
    memory.spending.malformed += 1
    if memory.spending.malformed > MOST_MALFORMED:
        raise Troubled(f"The model {what} {memory.spending.malformed} times in a row.", Problem.LIMIT)


def shortened(text: str) -> str:
    """At most as much as a model is shown of one result: its beginning and its end."""
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    half = _SHOWN_CHARACTERS // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def _fitting(content: str | list[Any]) -> str | list[Any]:
    """What the model is shown of it; of parts that are not text, as pictures, all or nothing."""
    if isinstance(content, str):
        return shortened(content)
    texts = [_text(part) for part in content]
    whole = sum(len(text) for text in texts if text is not None)
    if whole > _SHOWN_CHARACTERS:
        joined = shortened("\n".join(text for text in texts if text is not None))
        content = [{"type": "text", "text": joined}, *(part for part in content if _text(part) is None)]
    return [part if len(str(part)) <= _PART_CHARACTERS else dict(_LEFT_OUT) for part in content]


def _text(part: Any) -> str | None:
    if isinstance(part, str):
        return part
    return part.get("text") if isinstance(part, dict) and isinstance(part.get("text"), str) else None


def _arguments_refused(result: ToolMessage) -> bool:
    """Whether LangGraph's tool node answered in the place of the tool, as its arguments don't fit."""
    return result.status == "error" and result.text.startswith("Error invoking tool")


def _namespace(request: ToolCallRequest) -> str:
    """Of the agent that calls; the tool itself runs in one of its own below that."""
    configurable = request.runtime.config.get("configurable", {})
    return str(configurable.get("checkpoint_ns", "")).rpartition("|")[0]


def _told(arguments: Any) -> Any:
    if isinstance(arguments, dict):
        return {str(key): _told(value) for key, value in list(arguments.items())[:20]}
    if isinstance(arguments, str):
        return arguments[:_TOLD_CHARACTERS]
    return (
        arguments if isinstance(arguments, int | float | bool | None) else str(arguments)[:_TOLD_CHARACTERS]
    )
