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
    hook_config,
)
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.runtime import Runtime
from langgraph.types import Command

from shiftwork.agents.langchain.program.answers import CUT, MISNAMED, is_cut
from shiftwork.agents.langchain.program.asking import Asker, Overflow
from shiftwork.agents.langchain.program.calling import count_malformed
from shiftwork.agents.langchain.program.calls import Asked, sendable
from shiftwork.agents.langchain.program.memory import Memory
from shiftwork.agents.langchain.program.voice import Voice

_TOLD_CHARACTERS = 8_000

_CUT_OFF = "gave answers that were cut off at the greatest length they may have (`max_tokens` of the model)"
_GO_ON = "Your answer was cut off, at the greatest length it may have. Go on, in shorter answers."
_CALL_SHORTER = (
    "Your answer was cut off in this call, at the greatest length it may have, and the call was not made. "
    "Make a shorter one: write a long file in parts."
)


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
        asked = Asked.of(request.tools, request.messages)
        sent = request.override(messages=sendable(request.messages, asked))

        async def question() -> BaseMessage:
            return (await handler(sent)).result[-1]

        try:
            answer = await self._asker.ask(question, asked)
        except Overflow:
            # Back to the summing up before the model; see `summing`.
            state: Any = request.state
            update = {"overflowed": state.get("overflowed", 0) + 1}
            return ExtendedModelResponse(ModelResponse(result=[]), Command(update=update))
        self._tell(answer)
        if is_cut(answer) and not answer.tool_calls and not answer.invalid_tool_calls:
            return self._cut(answer)
        messages = [answer, *self._corrections(answer)]
        return ExtendedModelResponse(ModelResponse(result=messages), Command(update={"overflowed": 0}))

    @hook_config(can_jump_to=["model"])
    async def aafter_model(self, state: Any, runtime: Runtime[Any]) -> dict[str, Any] | None:  # noqa: ARG002
        """See `AgentMiddleware.aafter_model`: without a whole answer, the model is asked again."""
        unanswered = isinstance(state["messages"][-1], HumanMessage)
        return {"jump_to": "model"} if unanswered or state.get("overflowed") else None

    def _tell(self, answer: AIMessage) -> None:
        thinking = "\n".join(
            str(block.get("reasoning", "")) for block in answer.content_blocks if block["type"] == "reasoning"
        )
        if thinking.strip():
            self._voice.say("thinking", text=thinking[:_TOLD_CHARACTERS])
        if answer.text.strip():
            self._voice.say("text", text=answer.text[:_TOLD_CHARACTERS])

    def _cut(self, answer: AIMessage) -> ExtendedModelResponse[Any]:
        """Half an answer in prose is none: the model goes on."""
        count_malformed(self._memory, _CUT_OFF)
        said: list[BaseMessage] = [answer] if answer.text.strip() else []
        messages = [*said, HumanMessage(_GO_ON)]
        return ExtendedModelResponse(ModelResponse(result=messages), Command(update={"overflowed": 0}))

    def _corrections(self, answer: AIMessage) -> list[BaseMessage]:
        """Answers to calls that can't be made: they reach no tool."""
        if not answer.invalid_tool_calls:
            return []
        corrections: list[BaseMessage] = []
        broken, answer.invalid_tool_calls = answer.invalid_tool_calls, []
        for number, call in enumerate(broken):
            cut = call.get("error") == CUT
            count_malformed(self._memory, _CUT_OFF if cut else "called tools wrongly")
            name, call_id = call.get("name") or "unknown", call.get("id") or f"malformed_{number}"
            # As a call without arguments, since no provider takes back what is no JSON.
            answer.tool_calls.append({"name": name, "args": {}, "id": call_id, "type": "tool_call"})
            sentence = _correction(call.get("error") or "cut off")
            corrections.append(ToolMessage(sentence, name=name, tool_call_id=call_id, status="error"))
        return corrections


def _correction(error: str) -> str:
    if error == CUT:
        return _CALL_SHORTER
    if error.startswith(MISNAMED):
        return f"{error}. Call one of your tools, by its name as it was given to you."
    return f"The arguments of this call are not valid JSON ({error}). Call again."
