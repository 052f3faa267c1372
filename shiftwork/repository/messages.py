"""The messages of the harness's commits, and reading their trailers back."""

import re
from dataclasses import dataclass
from datetime import datetime

from shiftwork.text import one_line, printable, truncate

PROJECT = "Shiftwork-Project"
FEATURE = "Shiftwork-Feature"
SESSION = "Shiftwork-Session"
OPERATION = "Shiftwork-Operation"

MAX_SUBJECT = 200
MAX_BODY = 20_000


@dataclass(frozen=True, slots=True)
class LandingInfo:
    """What a landing says of itself: derived from the session alone, so that it can be made again.

    Attributes:
        project_id: the project.
        session: the session's number.
        feature: the feature's name; None for planning.
        subject: the commit's first line.
        body: prose of the agent, or empty.
        at: the date of the commit.
    """

    project_id: str
    session: int
    feature: str | None
    subject: str
    body: str
    at: datetime


def landing_message(info: LandingInfo) -> str:
    """The message of a landing, ending in its trailers."""
    trailers = {PROJECT: info.project_id, SESSION: str(info.session)}
    if info.feature is not None:
        trailers[FEATURE] = info.feature
    return compose(info.subject or f"Session {info.session}", info.body, trailers)


def compose(subject: str, body: str, trailers: dict[str, str]) -> str:
    """A message whose last paragraph is these trailers, whatever the other parts hold."""
    paragraphs = [truncate(one_line(subject), MAX_SUBJECT) or "Shiftwork"]
    prose = truncate(printable(body).strip(), MAX_BODY)
    if prose:
        paragraphs.append(_OURS.sub(r"> \g<0>", prose))
    if trailers:
        paragraphs.append("\n".join(f"{key}: {one_line(value)}" for key, value in trailers.items()))
    return "\n\n".join(paragraphs) + "\n"


# A line that other tools would read as one of our trailers is quoted.
_OURS = re.compile(r"(?mi)^[^\S\n]*shiftwork-")


def parse_trailers(message: str) -> dict[str, str]:
    """The trailers in the last paragraph; none if any of its lines is something else."""
    head, gap, last = message.rstrip("\n").rpartition("\n\n")
    if not gap or not head:
        return {}
    found: dict[str, str] = {}
    for line in last.split("\n"):
        key, colon, value = line.partition(": ")
        if not colon or not key.startswith("Shiftwork-") or key in found:
            return {}
        found[key] = value
    return found
