"""Asking a model: the one place that repeats questions, counts answers, and ends a run for what they say."""

import asyncio
import random
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, NoReturn

from langchain_core.messages import AIMessage, BaseMessage

from shiftwork.agents.events import Problem
from shiftwork.agents.langchain.config import ProgramConfig
from shiftwork.agents.langchain.program.answers import (
    BrokenOff,
    Listener,
    has_failed,
    is_broken_off,
    mend,
    reason_of,
)
from shiftwork.agents.langchain.program.calls import Asked
from shiftwork.agents.langchain.program.endings import Ending, Limited, Troubled
from shiftwork.agents.langchain.program.figures import tokens
from shiftwork.agents.langchain.program.memory import Memory
from shiftwork.agents.langchain.program.troubles import Diagnosis, Trouble, diagnose, diagnose_unreadable
from shiftwork.agents.langchain.program.voice import Voice

_LONGEST_PAUSE = 60.0
_NOTHING = Asked()

_REFUSALS = frozenset({"refusal", "content_filter", "SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII"})
"""By which reasons for its end an answer is no answer."""

_PROBLEMS = {
    Trouble.PASSING: Problem.UNAVAILABLE,
    Trouble.OVERFLOW: Problem.LIMIT,
    Trouble.AUTHENTICATION: Problem.AUTHENTICATION,
    Trouble.INVALID: Problem.INVALID,
    Trouble.BUDGET: None,
}


class Overflow(Exception):  # noqa: N818 - answered by summing up
    """The question is longer than the model's context."""


class Asker:
    """Asks one model, for the agent, its sub-agents and their summaries."""

    def __init__(self, config: ProgramConfig, memory: Memory, voice: Voice, listener: Listener) -> None:
        self._config = config
        self._listener = listener
        self._memory = memory
        self._asked = 0
        self._voice = voice

    async def ask(self, question: Callable[[], Awaitable[BaseMessage]], asked: Asked = _NOTHING) -> AIMessage:
        """The answer, after as many repetitions as it takes; its calls are whole, and fit what was asked.

        Raises:
            Overflow: the question is too long for the model.
            Ending: a limit, a refusal, or trouble that does not pass.
        """
        for attempt in range(self._config.max_retries + 1):
            self._check_limits()
            self._asked += 1
            try:
                return await self._answer(question, asked)
            except Ending:
                raise
            except Exception as error:  # a provider's package raises its own; diagnosed, or raised again
                trouble = self._diagnosis(error)
                if trouble is None:
                    raise
                failure = error
            finally:
                self._asked -= 1
            await self._bear(trouble, attempt, failure)
        raise AssertionError("the last attempt answers or raises")

    # Limits and counts -------------------------------------------------------------------------------

    def _check_limits(self) -> None:
        spent, most = self._memory.spending, self._config
        if spent.turns + self._asked >= most.max_turns:
            raise Troubled(f"The agent used its {most.max_turns} turns.", Problem.LIMIT)
        if most.max_tokens is not None and spent.tokens >= most.max_tokens:
            raise Troubled(
                f"The agent used {spent.tokens} tokens; it may use {most.max_tokens}.", Problem.LIMIT
            )

    def _diagnosis(self, error: Exception) -> Diagnosis | None:
        trouble = diagnose(error, datetime.now(UTC))
        if trouble is None and not self._config.model.factory and (trouble := diagnose_unreadable(error)):
            traceback.print_exception(error)
        return trouble

    async def _answer(self, question: Callable[[], Awaitable[BaseMessage]], asked: Asked) -> AIMessage:
        with self._listener.listening() as pieces:
            answer = await question()
        assert isinstance(answer, AIMessage), "a chat model answers as one"
        self._count(answer)
        if has_failed(answer):
            raise BrokenOff(f"The model's provider failed while it answered ({reason_of(answer)}).")
        if is_broken_off(answer, pieces, named=not self._config.model.factory):
            raise BrokenOff("The model's answer broke off: nothing said why it ended.")
        mend(answer, pieces, asked)
        return self._taken(answer)

    def _taken(self, answer: AIMessage) -> AIMessage:
        reason = reason_of(answer)
        refusal = answer.additional_kwargs.get("refusal")
        if reason in _REFUSALS or refusal or _refused_block(answer):
            self._memory.save()
            raise Troubled(f"The model declines: {refusal or answer.text or reason}", Problem.REFUSED)
        return answer

    def _count(self, answer: AIMessage) -> None:
        usage: Any = answer.usage_metadata or {}
        details = usage.get("input_token_details") or {}
        read, written = tokens(details.get("cache_read")), _written(details)
        prompt, output = tokens(usage.get("input_tokens")), tokens(usage.get("output_tokens"))
        self._memory.spending.turns += 1
        self._memory.spending.tokens += prompt + output
        self._voice.say(
            "usage",
            model=_model_name(answer) or self._config.model.name.partition(":")[2],
            conversation=self._config.conversation or None,
            input_tokens=max(0, prompt - read - written),
            output_tokens=output,
            cache_read_tokens=read,
            cache_write_tokens=written,
        )

    # Trouble -----------------------------------------------------------------------------------------

    async def _bear(self, trouble: Diagnosis, attempt: int, error: Exception) -> None:
        """Wait until the question may be asked again, or give up."""
        if trouble.trouble is Trouble.OVERFLOW:
            raise Overflow(trouble.sentence) from error
        last = attempt >= self._config.max_retries
        if trouble.trouble is Trouble.RATE:
            pause = self._told_pause(trouble) if trouble.until else self._pause(attempt)
            if last or pause > self._config.longest_wait:
                raise Limited(trouble.sentence, trouble.until) from error
        elif trouble.trouble is Trouble.PASSING and not last:
            pause = max(self._pause(attempt), min(self._told_pause(trouble), self._config.longest_wait))
        else:
            self._give_up(trouble, error)
        self._voice.say("text", text=f"The model did not answer ({trouble.sentence}); asked again.")
        await asyncio.sleep(pause)

    def _give_up(self, trouble: Diagnosis, error: Exception) -> NoReturn:
        raise Troubled(trouble.sentence, _PROBLEMS[trouble.trouble]) from error

    def _pause(self, attempt: int) -> float:
        longest: float = min(self._config.retry_seconds * 2**attempt, _LONGEST_PAUSE)
        return longest * random.uniform(0.75, 1.0)  # noqa: S311 - spreads questions, guards nothing

    def _told_pause(self, trouble: Diagnosis) -> float:
        if trouble.until is None:
            return 0.0
        return max(0.0, (trouble.until - datetime.now(UTC)).total_seconds())


def _refused_block(answer: AIMessage) -> bool:
    content = answer.content
    return isinstance(content, list) and any(
        isinstance(block, dict) and block.get("type") == "refusal" for block in content
    )


def _written(details: dict[str, Any]) -> int:
    """Tokens that went into a cache; Anthropic tells them by how long they stay there."""
    return tokens(details.get("cache_creation")) or sum(
        tokens(value) for key, value in details.items() if key.startswith("ephemeral_")
    )


def _model_name(answer: AIMessage) -> str:
    told = answer.response_metadata
    return str(told.get("model_name") or told.get("model") or "")
