"""Around each question to the model: asked by the one asker, told of, and mended where it is malformed."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, NotRequired

from langchain.agents.middleware.types import (
    AgentMiddleware,
    AgentState,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
    PrivateStateAttr,
)
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langgraph.types import Command

from shiftwork.agents.langchain.program.asking import Asker, Overflow
from shiftwork.agents.langchain.program.calling import count_malformed
from shiftwork.agents.langchain.program.memory import Memory
from shiftwork.agents.langchain.program.voice import Voice

_TOLD_CHARACTERS = 8_000


class ThinkingState(AgentState[Any]):
    """`overflowed`: how often in a row the conversation was too long for the model."""

    overflowed: NotRequired[Annotated[int, PrivateStateAttr]]


class ThinkingMiddleware(AgentMiddleware[ThinkingState, Any, Any]):
    """Asks the model through the asker; the innermost of all that wrap a question."""

    state_schema = ThinkingState

    def __init__(self, asker: Asker, memory: Memory, voice: Voice) -> None:
        super().__init__()
        self._asker = asker
        self._memory = memory
        self._voice = voice

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ExtendedModelResponse[Any]:
        """See `AgentMiddleware.awrap_model_call`."""

        async def question() -> BaseMessage:
            return (await handler(request)).result[-1]

        try:
            answer = await self._asker.ask(question)
        except Overflow:
            # Back to the summing up before the model; see `summing`.
            state: Any = request.state
            update = {"overflowed": state.get("overflowed", 0) + 1, "jump_to": "model"}
            return ExtendedModelResponse(ModelResponse(result=[]), Command(update=update))
        self._tell(answer)
        messages = [answer, *self._corrections(answer)]
        return ExtendedModelResponse(ModelResponse(result=messages), Command(update={"overflowed": 0}))

    def _tell(self, answer: AIMessage) -> None:
        thinking = "\n".join(
            str(block.get("reasoning", "")) for block in answer.content_blocks if block["type"] == "reasoning"
        )
        if thinking.strip():
            self._voice.say("thinking", text=thinking[:_TOLD_CHARACTERS])
        if answer.text.strip():
            self._voice.say("text", text=answer.text[:_TOLD_CHARACTERS])

    def _corrections(self, answer: AIMessage) -> list[BaseMessage]:
        """Answers to calls whose arguments are no JSON: such calls reach no tool."""
        if not answer.invalid_tool_calls:
            return []
        corrections: list[BaseMessage] = []
        broken, answer.invalid_tool_calls = answer.invalid_tool_calls, []
        for number, call in enumerate(broken):
            count_malformed(self._memory)
            name, call_id = call.get("name") or "unknown", call.get("id") or f"malformed_{number}"
            # As a call without arguments, since no provider takes back what is no JSON.
            answer.tool_calls.append({"name": name, "args": {}, "id": call_id, "type": "tool_call"})
            reason = call.get("error") or "cut off"
            sentence = f"The arguments of this call are not valid JSON ({reason}). Call again."
            corrections.append(ToolMessage(sentence, name=name, tool_call_id=call_id, status="error"))
        return corrections
