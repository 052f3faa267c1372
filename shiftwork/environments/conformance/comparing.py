"""Plays of one seed, held against each other: whether they differ by what was done, or by chance.

The contract lets an environment draw without a seed, and two plays of it may agree by chance. So no
difference counts before it was seen that plays without a difference in what is done are the same, each time.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.conformance.subject import NotChecked, Seen, Subject, shown_of, unlike

_AGAIN: Final = 7
"""Plays after which chance has mostly shown itself."""
_MARKED: Final = 3
"""As many, of an environment that takes a seed: its chance is a fault anyhow."""
_EACH: Final = 3
"""Plays in which what makes a difference makes it each time, and chance mostly not."""


async def differs_by_chance(subject: Subject, *, times: int | None = None) -> str | None:
    """Where a play in a fresh instance differs from another; None: so many were all the same."""
    reference = await subject.reference()
    for _ in range(times or (_MARKED if subject.kept["marked"] else _AGAIN)):
        if "by_chance" not in subject.kept:
            where = unlike(reference, await subject.trace(subject.fresh()))
            if where is not None:
                subject.kept["by_chance"] = where
    found: str | None = subject.kept.get("by_chance")
    return found


def chance_is_a_fault(subject: Subject, where: str) -> list[str]:
    """What is wrong with an environment whose episodes of one seed differ.

    Raises:
        NotChecked: nothing: they are marked as not reproducible.
    """
    if not subject.kept["marked"]:
        raise NotChecked(
            "its reset takes no seed and its episodes differ, so they are marked as not reproducible, and "
            "can't be compared"
        )
    return [
        (
            f"two episodes of seed {subject.seed} with the same actions differ at {where}; draw from "
            "self.random, not from `random` or a clock, and keep what changes in the instance"
        )
    ]


async def differences(
    subject: Subject, play: Callable[[], Awaitable[Sequence[Seen]]], fault: Callable[[str], str]
) -> list[str]:
    """What is wrong where plays of the same seed and actions differ from those in fresh instances.

    Args:
        play: plays once; it may be asked to play again.
        fault: says what is wrong, from where they differ.

    Raises:
        NotChecked: those in fresh instances differ from each other, and may.
    """
    where = unlike(await subject.reference(), await play())
    return [] if where is None else await confirmed(subject, where, play, fault)


async def confirmed(
    subject: Subject,
    where: str,
    play: Callable[[], Awaitable[Sequence[Seen]]],
    fault: Callable[[str], str],
    *,
    most: int | None = None,
) -> list[str]:
    """What is wrong where a play was seen to differ from the reference.

    Args:
        most: how many actions of the reference it takes, at most; None: all.

    Raises:
        NotChecked: see `differences`.
    """
    by_chance = await differs_by_chance(subject)
    if by_chance is not None:
        return chance_is_a_fault(subject, by_chance)
    if not subject.kept["marked"]:
        reference = (await subject.reference())[: None if most is None else most + 1]
        for _ in range(_EACH):
            if unlike(reference, await play()) is None:
                return chance_is_a_fault(subject, where)
    return [fault(where)]


async def shows_otherwise(subject: Subject, environment: BaseHarness, before: str) -> bool:
    """Whether what can be seen now is other than it was.

    What is drawn anew whenever it is asked for tells nothing.
    """

    async def shown() -> str:
        return shown_of(environment, await subject.within(environment.get_observation()))

    now = await shown()
    if now == before:
        return False
    for _ in range(_AGAIN):
        if await shown() != now:
            return False
    return True
