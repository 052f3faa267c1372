"""Summing up a conversation that grows too long; its first message, the task, stays as it is."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AnyMessage, BaseMessage, HumanMessage, RemoveMessage, get_buffer_string
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.runtime import Runtime

from shiftwork.agents.events import Problem
from shiftwork.agents.langchain.program.asking import Asker, Overflow
from shiftwork.agents.langchain.program.endings import Troubled
from shiftwork.agents.langchain.program.thinking import ThinkingState

_DEFAULT_CONTEXT_TOKENS = 120_000
"""From where on a conversation is summed up, where nobody says how much the model takes."""

_SHARE = 0.8
"""Of what the model takes."""

_KEPT_MESSAGES = 12
_MOST_OVERFLOWS = 3

_MOST_EMPTY = 1
_EXCERPT_CHARACTERS = 20_000
"""Of a conversation that the model has no word to say on."""

_PROMPT = """\
This is the conversation of a software engineer with their tools. They will go on from your summary alone, so
write down what they need for that: what they found out, what they decided and why, which files they made or
changed and how, what failed and why, what is left to do. Be exact with names, paths, commands and values.
Answer with the summary and nothing else.

"""


class SummingMiddleware(SummarizationMiddleware[Any, Any]):
    """Sums up before a question, when the conversation is long, or proved too long."""

    state_schema = ThinkingState

    def __init__(self, model: BaseChatModel, asker: Asker, context_tokens: int | None) -> None:
        super().__init__(
            model,
            trigger=("tokens", context_tokens or _context_tokens(model)),
            keep=("messages", _KEPT_MESSAGES),
        )
        self._asker = asker

    async def abefore_model(self, state: Any, runtime: Runtime[Any]) -> dict[str, Any] | None:  # noqa: ARG002
        """See `AgentMiddleware.abefore_model`.

        Raises:
            Ending: it is too long for the model and can't be shortened further.
        """
        messages: list[AnyMessage] = state["messages"]
        self._ensure_message_ids(messages)
        overflowed = state.get("overflowed", 0)
        if not overflowed and not self._should_summarize(messages, self.token_counter(messages)):
            return None
        task, rest = messages[:1], messages[1:]
        keep = 0 if overflowed > 1 else _KEPT_MESSAGES if not overflowed else _KEPT_MESSAGES // 4
        cutoff = self._find_safe_cutoff(rest, keep) if keep else len(rest)
        if overflowed and cutoff <= 0:
            cutoff = len(rest)
        if overflowed > _MOST_OVERFLOWS or (overflowed and cutoff <= 0):
            raise Troubled("The conversation is too long for the model.", Problem.LIMIT)
        if cutoff <= 0:
            return None
        summary = await self._summary(rest[:cutoff])
        return {"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES), *task, summary, *rest[cutoff:]]}

    async def _summary(self, messages: Sequence[BaseMessage]) -> HumanMessage:
        text = get_buffer_string(list(messages), format="xml")
        most = 3 * int(self._trigger_clauses[0]["tokens"])
        empty = 0
        while True:
            prompt: list[BaseMessage] = [HumanMessage(_PROMPT + _middle_out(text, most))]
            try:
                answer = await self._asker.ask(partial(self.model.ainvoke, prompt))
            except Overflow as error:
                most //= 2
                if most < 2_000:
                    raise Troubled("The conversation is too long for the model.", Problem.LIMIT) from error
                continue
            if summary := answer.text.strip():
                return HumanMessage(f"A summary of what you did so far:\n\n{summary}")
            empty += 1
            if empty > _MOST_EMPTY:
                return HumanMessage(
                    f"Parts of what you did so far:\n\n{_middle_out(text, _EXCERPT_CHARACTERS)}"
                )


def _context_tokens(model: BaseChatModel) -> int:
    profile: Any = model.profile or {}
    most = profile.get("max_input_tokens")
    return int(most * _SHARE) if isinstance(most, int) and most > 0 else _DEFAULT_CONTEXT_TOKENS


def _middle_out(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return f"{text[: most // 2]}\n… left out …\n{text[-most // 2 :]}"
