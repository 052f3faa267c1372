"""A process that plays an episode again, and tells what was seen."""

import asyncio

from shiftwork.environments.conformance.child import ordered, tell
from shiftwork.environments.conformance.rules_of_processes import Replay, Replayed
from shiftwork.environments.conformance.subject import Subject
from shiftwork.environments.conformance.wording import RAISED, raised
from shiftwork.environments.policies import ScriptedPolicy


async def _play(order: Replay) -> Replayed:
    subject = Subject(
        name=order.environment,
        make=order.made,
        player=ScriptedPolicy(order.script),
        seed=order.seed,
        episodes=1,
        steps=len(order.script),
        call_seconds=order.call_seconds,
        block_seconds=order.call_seconds,
    )
    try:
        trace = await subject.trace(subject.fresh())
        return Replayed(seen=tuple((each.label, each.shown) for each in trace))
    except RAISED as error:
        return Replayed(why=raised(error))


def main() -> None:
    """Play what is ordered."""
    order, writes = ordered(Replay)
    assert isinstance(order, Replay), "read as one"
    tell(writes, asyncio.run(_play(order)))


if __name__ == "__main__":
    main()
