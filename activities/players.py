"""Who plays an episode, where that is somebody who has to be asked for each action."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from activities.services import Services
from shiftwork.contracts.episode import EpisodeErrorKind, EpisodeSpec, PlayerKind
from shiftwork.contracts.task import TaskUsage
from shiftwork.environments.host import Begun
from shiftwork.environments.protocol import Observation
from shiftwork.environments.trajectory import Choice, Step
from shiftwork.errors import InvalidInput
from shiftwork.secrets.refusing import Finds


@dataclass(frozen=True, slots=True)
class Seat:
    """What a player is given.

    Attributes:
        spec: what is played.
        episode: the id of the episode.
        attempt: how often it was begun, this time included.
        seed: of the episode.
        key: the evaluation's, of which no player knows; see `player_seed`.
        recorded: the steps that were taken before.
        folder: a folder that does not exist yet, for this attempt alone; removed afterwards.
        spent: what the player cost before.
        tell: writes what it cost, so that a lost attempt's cost is not lost; raises `LeaseLost`.
    """

    spec: EpisodeSpec
    episode: int
    attempt: int
    seed: int
    key: bytes
    recorded: tuple[Step, ...]
    folder: Path
    spent: TaskUsage
    tell: Callable[[TaskUsage], Awaitable[None]]


class PlayerFailed(Exception):  # noqa: N818 - it names what happened
    """Who plays died, or said what can't be understood; the text is one sentence.

    Attributes:
        kind: what the episode fails of.
    """

    def __init__(self, message: str, kind: EpisodeErrorKind = EpisodeErrorKind.PLAYER) -> None:
        super().__init__(message)
        self.kind = kind


class AskedPlayer(Protocol):
    """Somebody who is asked for each action."""

    def begin(self, begun: Begun) -> None:
        """What is played; told once, before it is asked."""

    async def act(self, observation: Observation, last: Step | None) -> Choice | None:
        """Choose; None: it stops.

        Raises:
            PlayerFailed, PlayFailed: it can't.
        """

    async def over(self, observation: Observation, last: Step | None) -> None:
        """The episode is over: see what came of the last action, and end."""

    @property
    def usage(self) -> TaskUsage | None:
        """What its models cost in all attempts; None: it has none."""

    @property
    def level(self) -> str:
        """The sandbox that confines it."""


def check_kept(step: Step, redactor: Finds) -> None:
    """Raise `PlayerFailed` where what a player chose holds a secret: it is kept as it is, or not at all."""
    if name := redactor.secret_in({"action": step.action, "parameters": step.parameters}):
        raise PlayerFailed(
            f"The player's action {step.number} holds the secret {name!r}, and would be stored as it is: "
            "have the player leave it out, and give it no secret that it does not need."
        )


Seats = Callable[[Services, Seat], AbstractAsyncContextManager[AskedPlayer]]
"""Seats a player; on leaving nothing of it lives."""


@asynccontextmanager
async def seated(
    services: Services, seat: Seat, seats: Mapping[PlayerKind, Seats]
) -> AsyncIterator[AskedPlayer | None]:
    """The player of this seat; None for those who play in the environment's own process."""
    kind = seat.spec.player.kind
    if kind in (PlayerKind.RANDOM, PlayerKind.SCRIPTED):
        yield None
        return
    if kind not in seats:
        raise InvalidInput(f"A player of kind {kind.value!r} can't play here.")
    async with seats[kind](services, seat) as player:
        yield player
