"""What a run of Claude Code used: live from its messages, then corrected by its result."""

from collections.abc import Iterator, Mapping
from typing import Any

from shiftwork.agents import bounds
from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.agents.prices import cost
from shiftwork.agents.protocol import Conversation

_FIELDS = {
    "input_tokens": ("input_tokens", "inputTokens"),
    "output_tokens": ("output_tokens", "outputTokens"),
    "cache_read_tokens": ("cache_read_input_tokens", "cacheReadInputTokens"),
    "cache_write_tokens": ("cache_creation_input_tokens", "cacheCreationInputTokens"),
}
"""Our names, those of the provider, and those of the program's sums per model."""


class ClaudeUsage:
    """Deltas that add up to what the program reports at the end.

    A message tells its prompt when it begins, and hardly anything of its answer; the rest, also of
    sub-agents, comes with the result. What is told live is priced by the price table, and counted against
    the program's own sum later, so that a run that is killed has most of its cost on record.
    """

    def __init__(self, conversation: Conversation | None) -> None:
        self._messages: set[str] = set()
        self._tokens = dict.fromkeys(_FIELDS, 0)
        self._dollars = 0.0
        self._model = ""
        # `total_cost_usd` of a resumed conversation includes its earlier runs.
        self._before = conversation.counted.cost_usd if conversation and conversation.resumed else 0.0

    def live(self, message: Mapping[str, Any], conversation: str) -> Iterator[AgentEvent]:
        """The usage of a message, the first time it is seen."""
        usage, identity = message.get("usage"), str(message.get("id", ""))
        if not isinstance(usage, dict) or identity in self._messages:
            return
        self._messages.add(identity)
        self._model = str(message.get("model", ""))
        tokens = {name: bounds.tokens(usage.get(theirs)) for name, (theirs, _) in _FIELDS.items()}
        yield from self._tell(tokens, None, conversation)

    def rest(self, result: Mapping[str, Any], conversation: str) -> Iterator[AgentEvent]:
        """What the result knows beyond what was told."""
        tokens, dollars = self._total(result)
        missing = {name: max(0, tokens[name] - self._tokens[name]) for name in _FIELDS}
        yield from self._tell(missing, max(0.0, dollars - self._dollars), conversation)
        # Work in the background can bring another result, whose sums begin anew.
        self._before += self._dollars
        self._tokens, self._dollars = dict.fromkeys(_FIELDS, 0), 0.0

    def _total(self, result: Mapping[str, Any]) -> tuple[dict[str, int], float]:
        per_model = result.get("model_usage_since_last_result")
        if isinstance(per_model, dict):
            models = [used for used in per_model.values() if isinstance(used, dict)]
            tokens = {
                name: sum(bounds.tokens(used.get(theirs)) for used in models)
                for name, (_, theirs) in _FIELDS.items()
            }
            return tokens, sum(_dollars(used.get("costUSD")) for used in models)
        usage = result.get("usage")
        given = usage if isinstance(usage, dict) else {}
        tokens = {name: bounds.tokens(given.get(theirs)) for name, (theirs, _) in _FIELDS.items()}
        return tokens, _dollars(result.get("total_cost_usd")) - self._before

    def _tell(
        self, tokens: Mapping[str, int], dollars: float | None, conversation: str
    ) -> Iterator[AgentEvent]:
        if not any(tokens.values()) and not dollars:
            return
        event = AgentEvent(
            kind=AgentEventKind.USAGE,
            input_tokens=tokens["input_tokens"],
            output_tokens=tokens["output_tokens"],
            cache_read_tokens=tokens["cache_read_tokens"],
            cache_write_tokens=tokens["cache_write_tokens"],
            cost_usd=dollars,
            model=self._model,
            conversation=conversation,
        )
        priced = cost(event)
        self._dollars += priced or 0.0
        for name, count in tokens.items():
            self._tokens[name] += count
        yield event.model_copy(update={"cost_usd": priced})


def _dollars(value: object) -> float:
    return bounds.dollars(value) or 0.0
