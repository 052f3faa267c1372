"""Why a provider refused an agent, in its own words: fit for the rows, never for a history."""

from collections.abc import Mapping
from typing import Any

from shiftwork.planning.refusing import quoted, tells_of_refusal, unquoted
from shiftwork.planning.resting import REFUSALS
from shiftwork.store.store import Transaction
from shiftwork.text import one_line

_CHARACTERS = 300
_ATTEMPTS = 50
"""The newest ones; those that were refused are among them."""


async def with_words(tx: Transaction, project_id: str, reason: str) -> str:
    """The reason of a pause; where it is that providers take no work, with what each said last."""
    if not tells_of_refusal(reason):
        return reason
    said: dict[str, str] = {}
    for event in await tx.events.last(project_id, kinds=("attempt_ended",), limit=_ATTEMPTS):
        agent, words = event.data.get("agent_key"), one_line(str(event.data.get("detail") or ""))
        if event.data.get("reason") in REFUSALS and agent and words:
            said.setdefault(agent, words)
    options = (await tx.projects.get(project_id)).options
    return quoted(options, reason, said, _CHARACTERS)


def without_words(reason: str) -> str:
    """What the workflow said, of a reason that the rows hold."""
    return unquoted(reason)


def told(data: Mapping[str, Any], before: str, reason: str) -> dict[str, Any]:
    """The data of an event that tells this reason, with the words that the rows have."""
    return {**data, "reason": reason} if data.get("reason") == before else dict(data)
