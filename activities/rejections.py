"""Why a provider rejected an agent's requests, in its own words: fit for the rows, never for a history."""

from collections.abc import Mapping
from typing import Any

from shiftwork.contracts.session import InterruptionReason
from shiftwork.planning.outcome import REJECTED, REJECTS
from shiftwork.store.store import Transaction
from shiftwork.text import one_line, truncate

_CHARACTERS = 300
_ATTEMPTS = 50
"""The newest ones; the one that was rejected is among them."""


async def with_words(tx: Transaction, project_id: str, reason: str) -> str:
    """The reason of a pause; where it is that a provider rejects requests, with what that said last."""
    if reason != REJECTED:
        return reason
    ended = await tx.events.last(project_id, kinds=("attempt_ended",), limit=_ATTEMPTS)
    rejected = (e.data for e in ended if e.data.get("reason") == InterruptionReason.REJECTED)
    said = one_line(str(next(rejected, {}).get("detail") or ""))
    if not said:
        return reason
    return REJECTED.replace(REJECTS, f'{REJECTS}: "{truncate(said, _CHARACTERS)}"', 1)


def without_words(reason: str) -> str:
    """What the workflow said, of a reason that the rows hold."""
    return REJECTED if reason.startswith(REJECTS) else reason


def told(data: Mapping[str, Any], before: str, reason: str) -> dict[str, Any]:
    """The data of an event that tells this reason, with the words that the rows have."""
    return {**data, "reason": reason} if data.get("reason") == before else dict(data)
