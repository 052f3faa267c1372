"""The rule on other processes: an episode is the same there, too."""

import asyncio
import os
from functools import partial
from typing import Final

from pydantic import BaseModel

from shiftwork.environments.conformance.child import Order, child
from shiftwork.environments.conformance.comparing import differences
from shiftwork.environments.conformance.making import ByName
from shiftwork.environments.conformance.subject import NotChecked, Seen, Subject
from shiftwork.environments.trajectory import Choice

_MODULE: Final = f"{__package__}.replaying"
_TO_START: Final = 30.0
"""Seconds in which a process starts and imports what an environment needs."""


class Replay(Order):
    """What is played again.

    Attributes:
        seed: of the episode.
        script: what is done in it.
        call_seconds: how long one call may take.
    """

    seed: int
    script: tuple[Choice, ...]
    call_seconds: float


class Replayed(BaseModel):
    """What came of it.

    Attributes:
        seen: at each point its label, and all of it as text.
        why: it could not be played.
    """

    seen: tuple[tuple[str, str], ...] = ()
    why: str = ""


async def another_process(subject: Subject) -> list[str]:
    """The same seed makes the same episode in another process as well.

    After a crash an episode goes on in another process, where a set of texts has another order, and nothing
    is there of what was left in a module.
    """
    if subject.by_name is None:
        raise NotChecked(
            "another process can't make it by a name; give check_harness a class of a module, or a ByName"
        )
    if not subject.kept.get("same_seed"):
        raise NotChecked("its episodes differ in one process already")
    return await differences(
        subject,
        partial(_replayed, subject, subject.by_name, await subject.reference()),
        lambda where: (
            f"an episode of seed {subject.seed} differs at {where} in another process; sort what comes "
            "from a set, and use no hash() of texts and nothing that a process keeps"
        ),
    )


async def _replayed(subject: Subject, made: ByName, reference: list[Seen]) -> list[Seen]:
    order = Replay(
        environment=made.environment,
        parameters=made.parameters,
        seed=subject.seed,
        script=tuple(each.choice for each in reference if each.choice is not None),
        call_seconds=subject.call_seconds,
    )
    other = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    subject.tell("playing in another process")
    try:
        async with (
            asyncio.timeout(_TO_START + subject.call_seconds),
            child(_MODULE, order, quiet=True, PYTHONHASHSEED=other) as told,
        ):
            line = await told.readline()
    except TimeoutError:
        raise NotChecked("it could not be played in another process, which did not answer in time") from None
    answer = Replayed.model_validate_json(line or b'{"why": "its process ended"}')
    if answer.why:
        raise NotChecked(f"it could not be played in another process: {answer.why}")
    return [Seen(label, shown) for label, shown in answer.seen]
