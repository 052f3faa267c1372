"""When a project is at rest."""

from typing import Any

RESTS = ("paused", "completed", "abandoned")
"""The statuses in which a project rests, and the kinds of the events that tell of it."""

POLL_SECONDS = 0.2


def at_rest(status: dict[str, Any]) -> bool:
    """Whether nothing happens to a project until a person acts."""
    return status["status"] in RESTS and not status["current_sessions"]
