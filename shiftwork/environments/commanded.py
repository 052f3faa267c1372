"""Playing by a program: it reads what is perceived, and writes what it does, a line of JSON each.

Each turn it reads a `Turn` and writes an `Answer`; at the end it reads an `End`. It was given to us by people
or agents: whatever it writes, or does not write, is its own failure and nobody else's.
"""

import asyncio
import hmac
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError, model_validator

from shiftwork.environments.host import Begun
from shiftwork.environments.hosting import PlayFailed
from shiftwork.environments.protocol import ActionName, Observation
from shiftwork.environments.trajectory import Choice, Step
from shiftwork.errors import InvalidInput, LeaseLost
from shiftwork.runner.process import Process
from shiftwork.storable import check_mapping, check_text
from shiftwork.text import one_line, truncate

PROTOCOL: Final = 1
"""Version of the lines; it grows when a program written for an older one would not understand them."""

MOST_ANSWER: Final = 1024 * 1024
"""Bytes of one line of a program."""

_LAST_CHANCE: Final = 2.0
"""Seconds in which it may end by itself once the episode is over."""

_TO_END: Final = 10.0
"""Seconds in which a program is expected to be gone that has closed its output: it takes milliseconds, unless
the machine stands still."""

_SHOWN: Final = 200
"""Characters of what it said that are shown."""

_SHAPES: Final = '{"action": "move", "parameters": {"direction": "north"}} or {"stop": true}'


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Opening(_Line):
    """What the first turn says beside the others.

    Attributes:
        protocol: see `PROTOCOL`.
        environment: its name.
        description: what is to be reached in it.
        history: the steps that were taken before, where an episode is taken up again.
    """

    protocol: Literal[1] = PROTOCOL
    environment: str
    description: str = ""
    history: tuple[Step, ...] = ()


class Turn(_Line):
    """It is the program's turn.

    Attributes:
        number: of the step that it is to choose; the first of an episode is 1.
        seed: of the program's own choices; see `player_seed`.
        last: the step before, if there was one: what was done, what it earned, and why if it was refused.
        observation: what is perceived now.
    """

    number: int
    seed: int
    last: Step | None = None
    observation: Observation


class End(Turn):
    """The episode is over; no answer is read."""

    over: Literal[True] = True


class Answer(_Line):
    """What the program does: an action with its parameters, or nothing any more."""

    action: ActionName | None = None
    parameters: dict[str, JsonValue] = {}
    stop: bool = False

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.stop == (self.action is not None):
            raise ValueError("give either an action, or that the player stops")
        return self


def player_seed(key: bytes, seed: int) -> int:
    """A number from which a player may make its choices, always the same for the same key and episode.

    It is not the episode's own, by which a program could find out what the environment hides; nor can that be
    found by trying all there are, as long as the key is secret.
    """
    digest = hmac.digest(key, f"player:{seed}".encode(), "sha256")
    return int.from_bytes(digest[:4], "big") >> 1


class CommandPlayer:
    """Asks a program that runs.

    Args:
        process: it; whoever started it ends it.
        seed: of its own choices; see `player_seed`.
        history: the steps that were taken before.
        patience: seconds in which each answer has to come.
        redact: takes secrets out of what it said, before anybody cuts it.
    """

    def __init__(
        self,
        process: Process,
        *,
        seed: int,
        history: Sequence[Step] = (),
        patience: float,
        redact: Callable[[bytes], bytes] = lambda text: text,
    ) -> None:
        self._process = process
        self._seed = seed
        self._history = tuple(history)
        self._patience = patience
        self._redact = redact
        self._opening: Opening | None = None
        self._chunks = process.stdout.chunks()
        self._waiting = bytearray()

    def begin(self, begun: Begun) -> None:
        """What is played; told once, before it is asked."""
        self._opening = Opening(environment=begun.name, description=begun.description, history=self._history)

    async def act(self, observation: Observation, last: Step | None) -> Choice | None:
        """Ask it; None: it stops.

        Raises:
            PlayFailed: it ended, did not answer in time, or said what is no answer.
            LeaseLost: it was ended because this process did not run; that says nothing of it.
        """
        number = 1 if last is None else last.number + 1
        turn = Turn(number=number, seed=self._seed, last=last, observation=observation)
        try:
            async with asyncio.timeout(self._patience):
                line = await self._answer_to(turn)
        except TimeoutError:
            raise _failed(
                f"did not answer turn {number} within {self._patience:g} s; it has to write a line for each "
                f"that it reads, and to flush its output{await self._last_words()}"
            ) from None
        if line is None:
            raise _failed(await self._how_it_ended(number))
        return await self._understood(line, number)

    async def over(self, observation: Observation, last: Step | None) -> None:
        """Tell it that the episode is over, and let it end by itself for a moment."""
        number = 0 if last is None else last.number
        end = End(number=number, seed=self._seed, last=last, observation=observation)
        try:
            async with asyncio.timeout(_LAST_CHANCE):
                await self._process.stdin.write(self._told(end))
                self._process.stdin.finish()
                await self._read_on()
                await asyncio.wait({self._process.ended})
        except (TimeoutError, BrokenPipeError):
            return  # it has played: how it ends is its own affair

    async def _answer_to(self, turn: Turn) -> bytes | None:
        with suppress(BrokenPipeError):  # it reads no more; what it wrote before may be an answer
            await self._process.stdin.write(self._told(turn))
        return await self._line()

    def _told(self, turn: Turn) -> bytes:
        told = turn.model_dump(mode="json")
        opening, self._opening = self._opening, None
        if opening is not None:
            told = {**opening.model_dump(mode="json"), **told}
        return json.dumps(told, ensure_ascii=True).encode() + b"\n"

    async def _line(self) -> bytes | None:
        """Its next line; None: there is none any more."""
        while (end := self._waiting.find(b"\n")) < 0 and len(self._waiting) <= MOST_ANSWER:
            chunk = await anext(self._chunks, b"")
            if not chunk:
                rest = bytes(self._waiting)
                self._waiting.clear()
                return rest or None
            self._waiting += chunk
        line = bytes(self._waiting[: end if end >= 0 else None])
        del self._waiting[: len(line) + 1]
        return line

    async def _understood(self, line: bytes, number: int) -> Choice | None:
        if len(line) > MOST_ANSWER:
            raise _failed(f"answered turn {number} with a line of more than {MOST_ANSWER:,} bytes")
        try:
            answer = Answer.model_validate_json(line)
            check_text("its action", answer.action or "")
            check_mapping("the parameters", answer.parameters)
        except (ValidationError, InvalidInput) as error:
            said = await self._shown(line)
            raise _failed(
                f"answered turn {number} with {said!r}, {_why(error)}; an answer is a line such as "
                f"{_SHAPES}, and whatever else it prints belongs on standard error"
            ) from None
        return None if answer.action is None else Choice(action=answer.action, parameters=answer.parameters)

    async def _how_it_ended(self, number: int) -> str:
        """Why there is no answer, in words; its output has ended."""
        process = self._process
        await asyncio.wait({process.ended}, timeout=_TO_END)
        if not process.ended.done():
            process.kill()
            await asyncio.wait({process.ended})
            if not process.breach.done():
                return f"closed its output before it answered turn {number}{await self._last_words()}"
        if process.lapsed:
            raise LeaseLost(
                f"A player's program was ended because this worker did not run for {process.lease:g} s: "
                "that says nothing of the program, which is run again."
            )
        code = process.ended.result()
        breach = process.breach.result() if process.breach.done() else process.breach_by_end(code)
        why = f" ({breach.rstrip('.')})" if breach else ""
        words = await self._last_words()
        return f"ended with status {code}{why} before it answered turn {number}{words}"

    async def _read_on(self) -> None:
        """Let go by what it still writes, so that it does not wait for us."""
        async for _ in self._chunks:
            pass

    async def _last_words(self) -> str:
        """The end of what it wrote to standard error, to be put behind a sentence."""
        said = (await asyncio.to_thread(self._redact, self._process.stderr.read() or b"")).strip()
        last = one_line(said.rpartition(b"\n")[2].decode("utf-8", "replace"))
        return f"; the last that it wrote to standard error: {truncate(last, 2 * _SHOWN)!r}" if last else ""

    async def _shown(self, line: bytes) -> str:
        said = await asyncio.to_thread(self._redact, line)
        return truncate(one_line(said.decode("utf-8", "replace")), _SHOWN)


def _failed(what: str) -> PlayFailed:
    return PlayFailed(f"The player's program {what}.", "player")


def _why(error: ValidationError | InvalidInput) -> str:
    if isinstance(error, InvalidInput):
        return f"but {str(error).rstrip('.')}"
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "json_invalid":
        return "which is no JSON"
    return f"in which {where or 'the whole'} is wrong ({first['msg']})"
