"""Where a player that speaks when it wants to meets a play that asks it: one step at a time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shiftwork.environments.protocol import Observation
from shiftwork.environments.talking import Reply, outcome, read_question
from shiftwork.environments.trajectory import Choice, Step
from shiftwork.errors import Conflict, InvalidInput

_BUSY: Final = "another step is under way: wait for its answer"
_OVER: Final = "the episode is over: no more actions are taken"
_WHY: Final = {
    "terminated": "It ended by its own rules.",
    "truncated": "It was cut short: too many steps, or too long.",
    "stopped": "No more actions are taken.",
}


@dataclass(eq=False)
class _Pending:
    """A step that was asked for; `taken`: the play has it, and nothing takes it back."""

    choice: Choice
    answer: "asyncio.Future[Reply]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    taken: bool = False


class Turns:
    """One episode, as the agent that plays it sees it.

    Args:
        recorded: the steps that were taken before.
    """

    def __init__(self, recorded: Sequence[Step] = ()) -> None:
        self.history: list[Step] = []
        self.over = False
        self._refused, self._earned = 0, 0.0
        self._seen: Observation | None = None
        self._began = asyncio.Event()
        self._pending: _Pending | None = None
        self._asked = asyncio.Event()
        for step in recorded:
            self._count(step)

    @property
    def seen(self) -> Observation | None:
        """What is perceived now; None before the first turn."""
        return self._seen

    # The play's side ----------------------------------------------------------------------------------

    def show(self, observation: Observation, last: Step | None) -> None:
        """What is perceived now, and the step that led there: answers who asked for that."""
        if last is not None and last.number > len(self.history):
            self._count(last)
        self._seen = observation
        self._began.set()
        pending = self._pending
        if pending is None or not (pending.taken or self.over):
            return
        self._pending = None
        if not pending.answer.done():
            pending.answer.set_result(self._answer_to(pending))

    def end(self, observation: Observation, last: Step | None) -> None:
        """The same, of the end: whoever speaks from now on learns that it is over."""
        self.over = True
        self.show(observation, last)

    async def choose(self) -> Choice:
        """The next step that is asked for."""
        while self._pending is None or self._pending.taken:
            self._asked.clear()
            await self._asked.wait()
        self._pending.taken = True
        return self._pending.choice

    # The agent's side ---------------------------------------------------------------------------------

    async def answer(self, data: bytes) -> Reply:
        """Answer what the agent said, a step once the play has taken it.

        Raises:
            InvalidInput: it can't be understood.
            Conflict: another step is under way.
        """
        question = read_question(data)
        await self._began.wait()
        match question.do:
            case "observe":
                return self._reply(observation=self._seen)
            case "stats":
                return self._reply()
            case "step":
                return await self._step(question.choice)

    async def _step(self, choice: Choice) -> Reply:
        if self.over:
            return self._reply(ok=False, error=_OVER, observation=self._seen)
        if self._pending is not None:
            raise Conflict(_BUSY)
        pending = self._pending = _Pending(choice)
        self._asked.set()
        try:
            return await pending.answer
        finally:
            if not pending.taken and self._pending is pending:  # nobody waits for it any more
                self._pending = None

    def _answer_to(self, pending: _Pending) -> Reply:
        if not pending.taken:
            return self._reply(ok=False, error=_OVER, observation=self._seen)
        return self._reply(observation=self._seen, **outcome(self.history[-1]))

    def _count(self, step: Step) -> None:
        self.history.append(step)
        self._refused += not step.success
        self._earned += step.reward

    def _reply(self, **more: Any) -> Reply:
        return Reply(
            over=self.over,
            why=self._why(),
            steps=len(self.history),
            refused=self._refused,
            total_reward=self._earned,
            **more,
        )

    def _why(self) -> str:
        if not self.over or self._seen is None:
            return ""
        return _WHY[
            "terminated" if self._seen.terminated else "truncated" if self._seen.truncated else "stopped"
        ]


async def said(turns: Turns, data: bytes) -> tuple[int, bytes]:
    """The answer of HTTP to what an agent said: its status and its body, a `Reply` as JSON."""
    status = 200
    try:
        reply = await turns.answer(data)
    except InvalidInput as error:
        status, reply = 400, Reply(ok=False, error=str(error))
    except Conflict as error:
        status, reply = 409, Reply(ok=False, error=str(error))
    return status, reply.model_dump_json().encode()
