"""Who did what, for the report: the agents of each session, and what a verifier said of each step."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shiftwork.contracts.session import Role
from shiftwork.store.rows import EventRow, SessionRow
from shiftwork.store.store import Transaction


def agents_of(events: Iterable[EventRow]) -> dict[int, list[dict[str, Any]]]:
    """By session number, each agent that played a role in it, once, in the order in which they began."""
    found: dict[int, list[dict[str, Any]]] = {}
    for event in events:
        number = event.reference.removeprefix("session:")
        if event.kind != "attempt_started" or not number.isdecimal():
            continue
        agents = found.setdefault(int(number), [])
        agent = {name: event.data.get(name) for name in ("role", "agent", "model")}
        if agent not in agents:
            agents.append(agent)
    return found


def judges(agents: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a verifier is among them."""
    return any(agent["role"] == Role.VERIFIER for agent in agents)


async def verdicts(
    tx: Transaction, sessions: Sequence[SessionRow]
) -> Mapping[int, Mapping[int, dict[str, Any]]]:
    """The newest verifier's word on each step, by the feature's id and the step, counted from 0."""
    found: dict[int, dict[int, dict[str, Any]]] = {}
    for session in sessions:
        if session.feature_id is None:
            continue
        for attempt in await tx.attempts.list(session.id):
            verdict = attempt.outbox.verdict if attempt.outbox else None
            steps = verdict.steps if verdict else ()
            for step in steps:
                told = step.model_dump(mode="json", include={"met", "reason", "command"})
                found.setdefault(session.feature_id, {})[step.step - 1] = {"session": session.number, **told}
    return found
