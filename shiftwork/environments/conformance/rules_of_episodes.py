"""Rules on episodes: the same again, whatever was played before, and apart from each other."""

from contextlib import suppress

from shiftwork.environments.conformance.comparing import (
    chance_is_a_fault,
    differences,
    differs_by_chance,
    shows_otherwise,
)
from shiftwork.environments.conformance.holding import changed, changed_shared, hold, hold_shared
from shiftwork.environments.conformance.subject import (
    NotChecked,
    Seen,
    Subject,
    shown_of,
    steps_untold,
)
from shiftwork.environments.trajectory import Choice


async def same_seed(subject: Subject) -> list[str]:
    """The same seed makes the same episode: first observation, rewards, ends and all between.

    An episode is taken up again after a crash by its seed and its actions, agents are compared on the same
    seeds, and a fault that was seen once has to be seen again.
    """
    await subject.reference()
    where = await differs_by_chance(subject, times=1)
    if where is None and not subject.kept["marked"]:  # two may agree by chance, and none of it is a fault
        where = await differs_by_chance(subject)
    return [] if where is None else chance_is_a_fault(subject, where)


async def _shared_by_all(subject: Subject) -> list[str]:
    """What is wrong where episodes may differ by chance, and differ by what was played before, too."""
    environment = subject.fresh(alone=True)
    before = hold_shared(environment)
    await subject.trace(environment)
    where = changed_shared(environment, before)
    if where is None:
        return []
    return [
        (
            f"episodes in fresh instances differ at {await differs_by_chance(subject)}, and playing one "
            f"changed {where!r}, which all instances share; keep what changes in the instance, made in "
            "reset()"
        )
    ]


async def fresh_reset(subject: Subject) -> list[str]:
    """After `reset` nothing is left of the episode before, whether it was over or not.

    What is left over makes the result of an episode depend on which were played before it, in which order.
    """
    if not subject.kept.get("same_seed"):
        raise NotChecked("its episodes differ anyhow")

    async def play() -> list[Seen]:
        environment = subject.fresh(alone=True)
        await subject.trace(environment, subject.seed + 1)
        await subject.trace(environment, subject.seed + 2, most=2)
        return await subject.trace(environment)

    return await differences(
        subject,
        play,
        lambda where: (
            f"an episode of seed {subject.seed} differs at {where} when others were played before it in the "
            "same instance; put back everything in reset()"
        ),
    )


async def separate_instances(subject: Subject) -> list[str]:
    """Two instances know nothing of each other.

    Workers play many episodes at the same time, in as many instances; if these share a list, a class
    attribute or a random generator, each plays in the others' games.
    """
    one, other = subject.fresh(alone=True), subject.fresh(alone=True)
    await subject.begin(one, subject.seed)
    before, seen = hold(one), shown_of(one, await subject.within(one.get_observation()))
    await subject.trace(other, subject.seed + 1)
    where = changed(one, {name: value for name, value in before.items() if name in vars(one)})
    if where is None and await shows_otherwise(subject, one, seen):
        where = "get_observation()"
    if where is not None:
        return [
            (
                f"playing in one instance changed {where!r} of another; keep what changes in the instance, "
                "made in __init__ or reset(), not in the class, the module, a default argument or a "
                "file that others use"
            )
        ]
    return await _interleaved(subject)


async def _interleaved(subject: Subject) -> list[str]:
    async def play() -> list[Seen]:
        one, other = subject.fresh(alone=True), subject.fresh(alone=True)
        await subject.begin(other, subject.seed + 1)
        other_choices: list[int] = []

        async def play_the_other(_: Choice) -> None:
            seen = await subject.within(other.get_observation())
            if seen.done:
                seen = await subject.begin(other, subject.seed + 1 + len(other_choices))
            choice = await subject.choose(other, seen, steps_untold(len(other_choices)))
            other_choices.append(1)
            if choice is not None:
                await subject.step(other, choice)

        return await subject.trace(one, between=play_the_other)

    def fault(where: str) -> str:
        return (
            f"an episode of seed {subject.seed} differs at {where} when another instance is played in "
            "between; keep what changes in the instance, and draw from self.random"
        )

    await subject.reference()
    marked = subject.kept["marked"]
    if await differs_by_chance(subject, times=1 if marked else None) is not None:
        return [] if marked else await _shared_by_all(subject)  # if it takes a seed, another rule's affair
    with suppress(NotChecked):
        return await differences(subject, play, fault)
    return []
