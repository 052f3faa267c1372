"""Tools that tell where a project stands, wait for it, and report on it."""

import time
from asyncio import sleep
from collections.abc import Mapping
from typing import Any

from client.report import project_report, render_markdown
from client.resting import POLL_SECONDS, at_rest
from client.standing import CurrentSession, OpenQuestion
from client.telling import tell
from client.tools import arguments as asks
from client.tools.call import Call
from client.tools.results import (
    ProgressEntry,
    ReportPart,
    Status,
    line,
    passage,
)
from shiftwork.contracts.project import ProjectStatus
from shiftwork.store.rows import EventRow
from shiftwork.store.store import Transaction

_PART = 20_000
"""Characters of a report in one answer."""
_TELL_EVERY = 10.0
_NEXT = {
    "initializing": "It is not planned yet: initialize_project_features has an agent plan it.",
    "active": "It runs: wait_for_project waits until it is at rest.",
    "paused": "It is paused, and resume_project goes on; `reason` says why, if it was not planning alone.",
    "completed": "Every feature passes; get_project_report tells what was built.",
    "abandoned": "It was abandoned; nothing in it can be changed.",
}


async def get_project_status(call: Call, asked: asks.OfProject) -> Status:
    """Where the project stands."""
    return status_of(await call.shiftwork.status(asked.project_id))


async def wait_for_project(call: Call, asked: asks.WaitForProject) -> Status:
    """Wait until nothing happens any more, or the time is over."""
    project = await call.shiftwork.find(asked.project_id)
    status = await wait_until_rest(call, project.id, asked.timeout_seconds)
    begun = status["status"] != ProjectStatus.INITIALIZING
    over = begun and not at_rest(status)
    text = "The time is over and the project runs on: call this again." if over else ""
    return status_of(status, text)


async def get_project_report(call: Call, asked: asks.Report) -> ReportPart:
    """The report in Markdown, part by part."""
    project = await call.shiftwork.find(asked.project_id)
    text = render_markdown(await project_report(call.shiftwork.store, project.id))
    end = asked.offset + _PART
    if end >= len(text):
        return ReportPart(markdown=text[asked.offset :])
    more = f"{len(text) - end} more characters; call again with offset={end}."
    return ReportPart(markdown=text[asked.offset : end], next_offset=end, more=more)


async def wait_until_rest(
    call: Call, project_id: str, seconds: float, *, planned: bool = False
) -> dict[str, Any]:
    """The status at rest, or after so many seconds; whoever listens is told what happens meanwhile.

    Args:
        planned: a project that has features is waited for no longer, even if it is not at rest.
    """
    after = await call.shiftwork.last_event(project_id)
    deadline = time.monotonic() + seconds
    told = time.monotonic()

    async def look(tx: Transaction) -> tuple[dict[str, Any], list[EventRow]]:
        return await tx.projects.status(project_id), await tx.events.after(project_id, after)

    while True:
        status, events = await call.shiftwork.store.read(look)
        for event in events:
            after = event.sequence
            await call.report(tell(event))
        if events:
            told = time.monotonic()
        elif at_rest(status) or (planned and status["total_features"]) or time.monotonic() > deadline:
            return status
        elif time.monotonic() > told + _TELL_EVERY:
            told = time.monotonic()
            await call.report(f"{status['passing_features']} of {status['total_features']} features pass")
        await sleep(POLL_SECONDS)


def status_of(status: Mapping[str, Any], message: str = "") -> Status:
    """The status as a tool tells it; without a message: what may come next."""
    plain = {name: status[name] for name in Status.model_fields if name in status}
    lists = {
        "recent_progress": [_entry(each) for each in status["recent_progress"]],
        "current_sessions": [CurrentSession.model_validate(each) for each in status["current_sessions"]],
        "questions": [
            OpenQuestion(
                feature_id=each["feature_id"],
                feature=line(each["feature"]),
                question=passage(each["question"], 2000),
            )
            for each in status["questions"][:20]
        ],
    }
    return Status(
        **{**plain, **lists, "reason": line(status["reason"], 1000)},
        at_rest=at_rest(dict(status)),
        message=message or _next(status),
    )


def _next(status: Mapping[str, Any]) -> str:
    if status["questions"]:
        return "An agent needs to know something: answer_question answers `questions`."
    return _NEXT[status["status"]]


def _entry(each: Mapping[str, Any]) -> ProgressEntry:
    return ProgressEntry(
        at=each["at"],
        action=line(each["action"]),
        outcome=line(each["outcome"]),
        session=each["session"],
        commit=each["commit"],
    )
