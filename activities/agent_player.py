"""An agent of any backend plays an episode: it acts when it wants to, by its gateway."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from pydantic import JsonValue

from activities.backend_run import BackendRun, Ran, metered, refuse_secrets
from activities.credentials import learn_keys
from activities.enclosure import Enclosure
from activities.folders import Folders
from activities.hearing import Hearing
from activities.players import AskedPlayer, PlayerFailed, Seat
from activities.playing_brief import play_request
from activities.services import Services
from activities.stop import Stop
from shiftwork.agents.player_brief import PLAY_FILE, render_play, write_play_brief
from shiftwork.agents.prompt import play_prompt
from shiftwork.contracts.episode import EpisodeErrorKind
from shiftwork.contracts.session import InterruptionReason
from shiftwork.contracts.task import TaskErrorKind, TaskUsage
from shiftwork.environments.host import Begun
from shiftwork.environments.protocol import Observation
from shiftwork.environments.trajectory import Choice, Step
from shiftwork.environments.turns import Turns, said
from shiftwork.errors import LeaseLost, StackError
from shiftwork.gateway import ENVIRONMENT_PATH, GatewaySession, Said
from shiftwork.runner.shutdown import uninterrupted
from shiftwork.sandbox.cell import Cell
from shiftwork.tasks.budget import RunBudget

GRACE: Final = 30.0
"""Seconds that an agent has for its last words once the episode is over."""

NEAR: Final = 60.0
"""Seconds that a provider's limit may last for the episode to wait it out."""

_SPARE: Final = 5.0
"""Seconds of an attempt's time that are left for ending its agent."""

_HAVE_A_TOOL: Final = frozenset({"langchain"})
"""Backends whose own program acts; agents of all others do so by a program in their brief."""

_PASSING: Final = (TaskErrorKind.RATE_LIMITED, TaskErrorKind.UNAVAILABLE)
_OTHERS: Final = (TaskErrorKind.FAILED, TaskErrorKind.LIMIT, TaskErrorKind.QUESTION)
"""What fails an agent is told of the player as a whole."""

log = logging.getLogger("shiftwork.episodes")


@asynccontextmanager
async def agent_player(services: Services, seat: Seat) -> AsyncIterator[AskedPlayer]:
    """Seat an agent, whose program is started with its first turn; on leaving nothing of it lives.

    Raises:
        InvalidInput: its backend is not known, or its settings are wrong.
    """
    player = AgentPlayer(services, seat)
    async with player.hearing:
        try:
            yield player
        finally:
            await uninterrupted(asyncio.ensure_future(player.leave()))


class AgentPlayer:
    """One attempt's agent. While a provider's limit is waited out there is none, and then another one.

    Attributes:
        hearing: what it says and spends.
    """

    def __init__(self, services: Services, seat: Seat) -> None:
        agent, spec = seat.spec.player.agent, seat.spec
        assert agent is not None, "checked by the contract"
        self._services = services
        self._seat = seat
        self._agent = agent
        self._user = services.user_at(seat.folder, spec.sandbox)
        self._enclosure = Enclosure(services, agent, spec.sandbox, self._user, self._learn_keys)
        self._enclosure.backend.check(agent.settings)
        refuse_secrets(services, agent, "the agent that plays")
        self._folders = Folders(seat.folder / "workspace", seat.folder, seat.folder / "home")
        self._ends = time.monotonic() + spec.timeout
        self._stop = Stop()
        self.hearing = Hearing(
            agent,
            seat.spent,
            budget=RunBudget(spec.player.max_cost_usd),
            most=0,
            tell=self._tell,
            stop=self._stop,
            redactor=services.redactor,
        )
        self._turns = Turns(seat.recorded)
        self._begun = Begun(name=spec.environment)
        self._runs = seat.attempt - 1
        self._running: asyncio.Task[Ran] | None = None

    @property
    def level(self) -> str:
        """See `AskedPlayer.level`."""
        return self._enclosure.level

    @property
    def usage(self) -> TaskUsage | None:
        """See `AskedPlayer.usage`."""
        spent = TaskUsage.model_validate(self.hearing.trace["usage"])
        return None if spent == TaskUsage() else spent

    def begin(self, begun: Begun) -> None:
        """See `AskedPlayer.begin`."""
        self._begun = begun

    async def act(self, observation: Observation, last: Step | None) -> Choice | None:
        """See `AskedPlayer.act`."""
        self._turns.show(observation, last)
        while True:
            running = self._running or self._start()
            choosing = asyncio.ensure_future(self._turns.choose())
            try:
                await asyncio.wait((choosing, running), return_when=asyncio.FIRST_COMPLETED)
                if choosing.done():
                    return choosing.result()
            finally:
                choosing.cancel()
            if not await self._goes_on(running.result()):
                return None
            self._running = None

    async def over(self, observation: Observation, last: Step | None) -> None:
        """See `AskedPlayer.over`; the agent has a moment for its last words."""
        self._turns.end(observation, last)
        if self._running is not None:
            left = self._ends - time.monotonic() - _SPARE
            await asyncio.wait({self._running}, timeout=max(0.0, min(GRACE, left)))

    async def leave(self) -> None:
        """End what runs, and write what it cost."""
        self._stop.ask(InterruptionReason.PAUSED)
        if self._running is not None:
            await asyncio.wait({self._running})
            if not self._running.cancelled() and (error := self._running.exception()):
                log.info("the agent of episode %d: %s", self._seat.episode, error)
        try:
            await self._tell({})
        except (LeaseLost, StackError) as error:
            log.warning("what episode %d cost can't be written: %s", self._seat.episode, error)

    def _start(self) -> "asyncio.Task[Ran]":
        if spent_up := self.hearing.spent_up():
            raise PlayerFailed(spent_up, EpisodeErrorKind.BUDGET)
        self._running = asyncio.create_task(self._run(), name="agent that plays")
        return self._running

    async def _run(self) -> Ran:
        self._runs += 1
        limits = self._services.limits_of(self._seat.spec.limits)
        run = BackendRun(
            self._agent, self._enclosure, self._folders, self.hearing, stop=self._stop, limits=limits
        )
        policy = metered(self.hearing, f"episode {self._seat.episode} of {self._begun.name}")
        # The attempt's own time ends first, if that is what ends it.
        return await run.run(
            replace(policy, environment=self._answer), self._prepare, timeout=self._seat.spec.timeout + _SPARE
        )

    async def _goes_on(self, ran: Ran) -> bool:
        """Whether another agent takes over from one that ended; waits until it may.

        Raises:
            PlayerFailed: it failed, and none does.
        """
        kind, why = ran.why(self.hearing)
        if kind is None:
            return False
        seconds = _seconds_until(ran.end.until)
        if kind in _PASSING and seconds is not None and seconds <= NEAR:
            await asyncio.sleep(seconds)
            return True
        blamed = EpisodeErrorKind.PLAYER if kind in _OTHERS else EpisodeErrorKind(kind.value)
        raise PlayerFailed(self._services.redactor.redact(why), blamed)

    def _prepare(self, cell: Cell, way_out: GatewaySession | None) -> str:
        """Make the folders and write the brief; blocks."""
        assert way_out is not None, "an environment is always reached through it"
        self._services.enclose_task(self._folders.run, self._user)
        self._folders.workspace.mkdir(mode=0o700, exist_ok=True)
        self._folders.make()
        by_tool = self._agent.backend in _HAVE_A_TOOL
        told = play_request(self._seat, self._begun, self._turns, run=self._runs - 1, by_tool=by_tool)
        brief = self._folders.brief
        play = cell.seen(brief / PLAY_FILE)
        text = render_play(told, play)
        write_play_brief(brief, told, text, url=way_out.url + ENVIRONMENT_PATH, token=way_out.token)
        link = self._folders.workspace / PLAY_FILE
        if not by_tool and not os.path.lexists(link):
            link.symlink_to(play)
        return play_prompt(text, brief=cell.seen(brief))

    async def _answer(self, data: bytes) -> Said:
        return Said(*await said(self._turns, data))

    async def _tell(self, _: Mapping[str, JsonValue]) -> None:
        if (spent := self.usage) is not None:
            await self._seat.tell(spent)

    async def _learn_keys(self) -> None:
        await learn_keys(self._services, [(f"episode {self._seat.episode}", self._agent)])


def _seconds_until(moment: datetime | None) -> float | None:
    """At least one, so that nobody asks again and again."""
    return None if moment is None else max(1.0, (moment - datetime.now(UTC)).total_seconds())
