"""Events as sentences: the one place that knows what each kind says to people."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from client.cli.output import counted
from shiftwork.store.rows import EventRow
from shiftwork.text import one_line, truncate
from shiftwork.verification.words import headline, sentence

_LIMIT = 300
_NEEDS_HELP = ("authentication", "rejected", "unavailable", "rate_limited", "worker_lost", "infrastructure")
"""Interruptions whose cause, in the words of whoever told it, a person wants to know."""
_QUIET = ("attempt_started", "verification_passed", "active")


def tell(event: EventRow) -> str:
    """The event in one line of printable text; what agents wrote in it is cleaned and cut."""
    sentence = _SENTENCES.get(event.kind, _unknown)(event)
    return truncate(one_line(sentence), _LIMIT)


def as_json(event: EventRow) -> dict[str, Any]:
    """The event for programs."""
    return event.model_dump(mode="json", exclude={"key"})


def worth_watching(event: EventRow) -> bool:
    """Whether a person who watches wants the event; left out is what another event says anyway."""
    if event.kind == "attempt_ended":
        if event.data.get("verdict"):
            return True
        asks = event.data.get("reason") in _NEEDS_HELP and bool(event.data.get("detail"))
        return asks or any(event.data.get(fact) for fact in ("failure", "problems", "notes"))
    if event.kind == "verification_passed":
        return bool(event.data.get("restored"))
    if event.kind == "session_ended":
        return event.data.get("status") != "passed" or event.data.get("feature_id") is None
    return event.kind not in _QUIET


def short_commit(reference: str) -> str:
    """The commit of a reference, shortened."""
    return reference.removeprefix("commit:")[:10]


def _session(event: EventRow) -> str:
    return event.reference.replace(":", " ")


def _of(event: EventRow, name: str) -> str:
    value = event.data.get(name)
    return "" if value is None else str(value)


def _after(mark: str, text: str) -> str:
    return f"{mark}{text}" if text else ""


def _words(event: EventRow, name: str) -> str:
    return _of(event, name).replace("_", " ")


def _started(event: EventRow) -> str:
    return f"{_session(event)} started: {_of(event, 'feature')}"


def _agent(event: EventRow) -> str:
    """Who it was: the role, where that is told and not the plain one."""
    role = _of(event, "role")
    return "agent" if role in ("", "session") else role


def _attempt_started(event: EventRow) -> str:
    backend, host = _of(event, "agent"), _of(event, "host")
    who = f"{_agent(event)} ({_model(backend, _of(event, 'model'))})" if backend else _agent(event)
    # A verifier's is no further try at the work, whatever its number.
    which = "" if _of(event, "role") == "verifier" else f", attempt {_of(event, 'attempt')}"
    return f"{_session(event)}: {who} on {host}{which}"


def _model(backend: str, model: str) -> str:
    return f"{backend}, {model}" if model else backend


def _attempt_ended(event: EventRow) -> str:
    if event.data.get("failure"):
        who = f"{_agent(event)}: " if _of(event, "role") else ""
        return f"{_session(event)}: {who}{_words(event, 'failure')}{_after(': ', _of(event, 'detail'))}"
    said = f"{_session(event)}: {_agent(event)} {_of(event, 'status')}{_after(', ', _words(event, 'reason'))}"
    left_out = [*event.data.get("problems", ())]
    if event.data.get("reason"):
        said += _after(": ", _of(event, "detail"))  # the notes are in it
    else:
        left_out += event.data.get("notes", ())
    said += _after(": ", "; ".join(map(_judged, event.data.get("verdict", ()))))
    return said + _after("; not taken: ", "; ".join(map(str, left_out)))


def _judged(step: Mapping[str, Any]) -> str:
    """A verifier's word on one step."""
    met = "met" if step.get("met") else "not met"
    return f"step {step.get('step')} {met}{_after(', ', one_line(str(step.get('reason') or '')))}"


def _verified(event: EventRow) -> str:
    return f"{_session(event)}: verification passed: {_of(event, 'feature')}{_restored(event)}"


def _restored(event: EventRow) -> str:
    """Files of the harness that the session had changed: they were laid back, and people are told."""
    return _after("; laid back: ", ", ".join(map(str, event.data.get("restored", ()))))


def _not_verified(event: EventRow) -> str:
    """What failed comes first: the end of the line may be cut."""
    said, about = headline(_of(event, "detail")), sentence(_of(event, "detail"))
    why = said or about or _words(event, "failure")
    more = f" ({about.removesuffix('.')})" if about not in (why, "") else ""
    return f"{_session(event)}: verification failed: {why}{more}{_restored(event)}"


def _landed(event: EventRow) -> str:
    return f"landed {short_commit(event.reference)}: {_of(event, 'feature')}"


def _ended(event: EventRow) -> str:
    note = _after("; ", _of(event, "note"))
    return f"{_session(event)} ended: {_of(event, 'feature')}: {_of(event, 'outcome')}{note}"


def _imported(event: EventRow) -> str:
    broken = ", ".join(map(str, event.data.get("broken") or ()))
    return f"your commit {_of(event, 'commit')[:10]} came in{_after('; it broke ', broken)}"


def _feedback(event: EventRow) -> str:
    score = _of(event, "score")
    return f"{_session(event)} turned out: {_of(event, 'outcome')}{f' ({score})' if score else ''}"


def _budget(event: EventRow) -> str:
    usd = event.data.get("budget_usd")
    return f"{_who(event)} set the budget to {'no limit' if usd is None else f'${usd:g}'}"


def _who(event: EventRow) -> str:
    return event.actor.removeprefix("user:") or "somebody"


def _about(event: EventRow) -> str:
    if event.data.get("feature") and event.reference.startswith("feature:"):
        return f" ({_of(event, 'feature')})"
    return f" ({_session(event)})" if event.reference else ""


def _which(event: EventRow) -> str:
    """The feature's name; events of before names were told have its number alone."""
    return _of(event, "feature") or _session(event)


def _feature_status(event: EventRow) -> str:
    status = _words(event, "status")
    said = "asked for verification" if status == "passing" else f"made it {status}"
    return f"{_who(event)} {said}: {_which(event)}{_after(': ', _of(event, 'reason'))}"


def _status(event: EventRow) -> str:
    return f"{event.kind}{_after(': ', _of(event, 'reason'))}"


def _rests(event: EventRow) -> str:
    until = _of(event, "until")
    when = f"until {_moment(until, event.at)}" if until else "until somebody resumes"
    who = _model(_of(event, "agent"), _of(event, "model"))
    left = _model(_of(event, "next_agent"), _of(event, "next_model"))
    then = f"{left} goes on" if left else "there is no other now"
    return f"{_session(event)}: agent {who} rests {when}; {then}"


def _moment(text: str, seen: datetime) -> str:
    """A time in UTC, with its date only if that is not the day on which it was told."""
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return (
        f"{moment:%H:%M} UTC"
        if moment.date() == seen.astimezone(UTC).date()
        else f"{moment:%Y-%m-%d %H:%M} UTC"
    )


def _resumed(event: EventRow) -> str:
    settings = event.data.get("agent_settings") or {}
    given = ", ".join(f"{name} {_setting(value)}" for name, value in settings.items())
    whose = _whose(event)
    return f"{_who(event)} resumed the project{_after(f' and gave {whose} other settings: ', given)}"


def _whose(event: EventRow) -> str:
    """The agent that was given other settings."""
    if event.data.get("category"):
        agent = f"the agent of {_of(event, 'category')}"
    else:
        agent = f"the {_of(event, 'role')}" if event.data.get("role") else "the agent"
    number = event.data.get("fallback")
    return f"fallback {number} of {agent}" if number else agent


def _setting(value: Any) -> str:
    return "removed" if value is None else repr(value)


def _unknown(event: EventRow) -> str:
    facts: Mapping[str, Any] = {name: value for name, value in event.data.items() if value}
    told = ", ".join(f"{name} {value}" for name, value in facts.items())
    return f"{event.kind.replace('_', ' ')}{_about(event)}{_after(': ', told)}"


_SENTENCES: dict[str, Callable[[EventRow], str]] = {
    "project_created": lambda e: f"{_who(e)} created the project{_after(' for agent ', _of(e, 'agent'))}",
    "planned": lambda e: (
        f"planned: {counted(int(e.data.get('features', 0)), 'feature')}"
        f"{_after('; ', '; '.join(map(str, e.data.get('warnings', ()))))}"
    ),
    "session_requested": lambda e: f"{_who(e)} asked for {_session(e)}",
    "session_started": _started,
    "attempt_started": _attempt_started,
    "attempt_ended": _attempt_ended,
    "agent_rests": _rests,
    "host_refused": lambda e: f"{_session(e)}: {_of(e, 'host') or 'an address'} refused: {_of(e, 'why')}",
    "verification_passed": _verified,
    "verification_failed": _not_verified,
    "landed": _landed,
    "session_ended": _ended,
    "session_dropped": lambda e: f"{_session(e)} was dropped: its feature needs none any more",
    "blocked": lambda e: f"blocked: {_of(e, 'feature')}{_after(': ', _of(e, 'reason'))}",
    "feature_added": lambda e: f"{_who(e)} added a feature: {_of(e, 'feature')}",
    "feature_edited": lambda e: f"{_who(e)} edited {_which(e)}",
    "feature_status": _feature_status,
    "steer": lambda e: f"{_who(e)} gave guidance{_about(e)}: {_of(e, 'text')}",
    "answer": lambda e: f"{_who(e)} answered{_about(e)}: {_of(e, 'text')}",
    "decision_feedback": _feedback,
    "budget": _budget,
    "reverted": lambda e: f"{_who(e)} reverted to {_of(e, 'to')[:10]} by {short_commit(e.reference)}",
    "people_imported": _imported,
    "warning": lambda e: f"warning: {_of(e, 'text')}",
    "active": _status,
    "paused": _status,
    "completed": _status,
    "abandoned": _status,
    "resumed": _resumed,
}
