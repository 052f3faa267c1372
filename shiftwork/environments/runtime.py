"""The smallest agent: a chat model, and the tools that are registered with it."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolCall, ToolMessage
from langchain_core.tools import BaseTool

from shiftwork.environments.adapter import HarnessAdapter
from shiftwork.environments.tool_result import ToolResult
from shiftwork.errors import Conflict, InvalidInput, ModelFailed
from shiftwork.text import one_line, truncate

MOST_TURNS: Final = 200
"""Answers of a model that call tools, in one run."""


class AgentRuntime:
    """Holds tools, and carries out their calls: a program's, or those of a chat model.

    It runs in this process. A project's agents are processes of their own, and get tools by their settings.

    Args:
        chat_model: who calls the tools in `run`; None: only programs do.
        tools: registered from the beginning.
    """

    def __init__(self, chat_model: BaseChatModel | None = None, tools: Iterable[BaseTool] = ()) -> None:
        self._model = chat_model
        self._tools: dict[str, BaseTool] = {}
        for tool in tools:
            self.register_tool(tool)

    @property
    def tools(self) -> Sequence[BaseTool]:
        """What is registered, in order: a chat model's `bind_tools` takes it."""
        return tuple(self._tools.values())

    def register_tool(self, tool: BaseTool) -> None:
        """Add a tool: an environment's `HarnessAdapter`, or any other of LangChain.

        Raises:
            InvalidInput: it is none.
            Conflict: there is one of its name.
        """
        if not isinstance(tool, BaseTool):
            raise InvalidInput(
                f"a {type(tool).__name__} was given as a tool; wrap an environment as HarnessAdapter(harness)"
            )
        if tool.name in self._tools:
            raise Conflict(f"there is a tool {tool.name!r} already; give the environment another name")
        self._tools[tool.name] = tool

    async def execute_tool(self, tool_name: str, **arguments: Any) -> ToolResult:
        """Call a tool by its name; what goes wrong is a result.

        Args:
            tool_name: `harness_<name>` for an environment.
            arguments: what it takes; see `HarnessAdapter.execute`.
        """
        tool = self._tools.get(tool_name)
        if tool is None:
            return ToolResult.failed(self._unknown(tool_name))
        if isinstance(tool, HarnessAdapter):
            return await tool.execute(**arguments)
        call: ToolCall = {"name": tool_name, "args": arguments, "id": "", "type": "tool_call"}
        answer = await self._answer(call)
        if answer.status == "error":
            return ToolResult.failed(str(answer.text))
        return ToolResult(success=True, output=answer.artifact or answer.content)

    async def run(self, instruction: str, *, max_turns: int = MOST_TURNS) -> str:
        """Have the model do something with the tools, until it answers without calling one.

        Raises:
            InvalidInput: there is no model.
            ModelFailed: it did not answer, or called tools in `max_turns` answers.
        """
        if self._model is None:
            raise InvalidInput("this AgentRuntime has no chat model; give it one to have it run")
        model = self._model.bind_tools(list(self.tools)) if self._tools else self._model
        told: list[BaseMessage] = [HumanMessage(instruction)]
        for _ in range(max_turns):
            try:
                answer = await model.ainvoke(told)
            except Exception as error:  # a provider's package raises its own
                why = one_line(truncate(f"{type(error).__name__}: {error}", 500))
                raise ModelFailed(f"The model did not answer: {why}") from error
            told.append(answer)
            if not isinstance(answer, AIMessage) or not (answer.tool_calls or answer.invalid_tool_calls):
                return str(answer.text)
            told += await self._answers(answer)
        raise ModelFailed(
            f"The model called tools in {max_turns} answers, and did not come to an end; give more max_turns."
        )

    async def _answers(self, asked: AIMessage) -> list[ToolMessage]:
        """One to each call, in order; a provider refuses a conversation in which one is missing."""
        answers = [await self._answer(call) for call in asked.tool_calls]
        for broken in asked.invalid_tool_calls:
            sentence = f"The arguments are no JSON object: {truncate(str(broken.get('error')), 300)}"
            answers.append(_error(sentence, str(broken.get("name")), str(broken.get("id"))))
        return answers

    async def _answer(self, call: ToolCall) -> ToolMessage:
        tool = self._tools.get(call["name"])
        if tool is None:
            return _error(self._unknown(call["name"]), call["name"], str(call["id"]))
        try:
            answer = await tool.ainvoke({**call, "type": "tool_call"})
        except Exception as error:  # noqa: BLE001 - whatever a foreign tool raises is its answer
            why = one_line(truncate(f"{type(error).__name__}: {error}", 500))
            return _error(f"Tool {call['name']!r} failed: {why}", call["name"], str(call["id"]))
        return answer if isinstance(answer, ToolMessage) else _said(answer, call)

    def _unknown(self, name: str) -> str:
        known = ", ".join(repr(each) for each in self._tools) or "none"
        return f"there is no tool {truncate(repr(name), 100)} here; there is: {known}"


def _error(sentence: str, name: str, call_id: str) -> ToolMessage:
    return ToolMessage(sentence, name=name, tool_call_id=call_id, status="error")


def _said(answer: object, call: ToolCall) -> ToolMessage:
    return ToolMessage(str(answer), name=call["name"], tool_call_id=str(call["id"]))
