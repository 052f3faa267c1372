"""Making up for what a schedule's agent missed: what can be asked for."""

from datetime import UTC, datetime, timedelta

from shiftwork.contracts.agent import Overlap, WorkspaceMode
from shiftwork.errors import InvalidInput
from shiftwork.schedules import Recurrence
from shiftwork.store.agents import AgentRow

MOST_OCCURRENCES = 1_000
"""Of a backfill: Temporal keeps no more of them waiting, and drops the rest without a word."""

_FIRST_YEAR = 1970


def check_backfill(start: object, end: object, overlap: object) -> None:
    """Raise `InvalidInput` for what can never be made up for."""
    if overlap not in tuple(Overlap):
        raise InvalidInput(f"{overlap!r:.60} is no policy of overlap; they are {', '.join(Overlap)}.")
    if not (isinstance(start, datetime) and start.tzinfo and isinstance(end, datetime) and end.tzinfo):
        raise InvalidInput("The moments of a backfill need a time zone, such as 2026-01-01T00:00:00Z.")
    if start.year < _FIRST_YEAR:
        raise InvalidInput(
            f"A backfill from {start.isoformat()} begins before {_FIRST_YEAR}; begin it later."
        )
    if start >= end:
        raise InvalidInput(
            f"A backfill from {start.isoformat()} to {end.isoformat()} has no time in it; "
            "name an end that is later than the beginning."
        )
    if end > datetime.now(UTC):
        raise InvalidInput(
            f"A backfill makes up for what has passed, and {end.isoformat()} is still to come; end it now or "
            "earlier."
        )


def check_number(agent: AgentRow, named: str, expression: str, start: datetime, end: datetime) -> None:
    """Raise `InvalidInput` if more than `MOST_OCCURRENCES` were due from `start` to `end`."""
    recurrence = Recurrence.parse(expression, agent.config.timezone)
    due = recurrence.next_runs(MOST_OCCURRENCES + 1, start.astimezone(UTC) - timedelta(milliseconds=1))
    if len(due) > MOST_OCCURRENCES and due[-1] <= end:
        raise InvalidInput(
            f"More than {MOST_OCCURRENCES} occurrences of {named!r} are between {start.isoformat()} and "
            f"{end.isoformat()}: make up for less time at once, up to {due[-2].isoformat()} for example, and "
            "for the rest when those have run."
        )


def check_beside(agent: AgentRow, overlap: Overlap) -> None:
    """Raise `InvalidInput` if an agent's runs would share the folder that it keeps."""
    if overlap is Overlap.ALLOW_ALL and agent.config.workspace is WorkspaceMode.KEEP:
        raise InvalidInput(
            f"The runs of agent {agent.name!r} keep its workspace ('keep'), so none can go beside another: "
            "choose another overlap than 'allow_all'."
        )
