"""Agents whose provider takes no work from us: who rests until when, and when the project goes on."""

from datetime import datetime, timedelta

from shiftwork.contracts.session import InterruptionReason
from shiftwork.contracts.state import FeatureState, ProjectState, Rest
from shiftwork.contracts.workflow import SessionResult
from shiftwork.planning.casting import cast_of, key, needed
from shiftwork.planning.choose import ready

_FIRST_WAIT = timedelta(minutes=1)
_LONGEST_WAIT = timedelta(minutes=30)
"""How long a provider that does not say until when is left alone: twice as long each time, up to this."""

_BELIEVED = 3
"""From so many waits in a row on, a provider is not believed that it takes work again soon."""

WAITS = frozenset({InterruptionReason.RATE_LIMITED, InterruptionReason.UNAVAILABLE})
"""The provider wants time."""

REFUSALS = frozenset({InterruptionReason.AUTHENTICATION, InterruptionReason.REJECTED})
"""The provider wants a person."""


def send_to_rest(
    state: ProjectState, feature: FeatureState | None, result: SessionResult, now: datetime
) -> None:
    """Note whether the agent of a session that ended rests now, and when the project can go on.

    Args:
        feature: what it worked on; None: planning.
    """
    interruption = result.interruption
    reason = interruption.reason if interruption else None
    if result.attempt is None and reason not in WAITS | REFUSALS:
        return  # no agent ran: nothing is known of its provider
    identity = result.agent or key(cast_of(state, feature).agents[0])
    resting = dict(state.resting)
    before = resting.pop(identity, None)
    count = before.count + 1 if before else 1
    if reason in WAITS:
        assert interruption is not None
        resting[identity] = Rest(until=_until(interruption.until, count, now), count=count)
    elif reason in REFUSALS:
        resting[identity] = Rest(count=count, reason=reason)
    state.resting = resting
    state.not_before = back_at(state, now)


def somebody_is_left(state: ProjectState, feature: FeatureState | None, now: datetime) -> bool:
    """Whether another agent does, or will do, what one that rests until a person resumes could not."""
    cast = needed(state, feature)
    return (
        cast is None
        or cast.available(state.resting, now) is not None
        or cast.back_at(state.resting, now) is not None
    )


def back_at(state: ProjectState, now: datetime) -> datetime | None:
    """When somebody can do something, if that needs time alone; None: now, or there is nothing to do."""
    wanted = list(ready(state)) if state.features else [None]
    casts = [needed(state, feature) for feature in wanted]
    if any(cast is None or cast.available(state.resting, now) for cast in casts):
        return None
    times = [cast.back_at(state.resting, now) for cast in casts if cast is not None]
    return min(filter(None, times), default=None)


def wake_time(state: ProjectState, now: datetime) -> datetime | None:
    """When a session may start; None: now."""
    return state.not_before if state.not_before and state.not_before > now else None


def go_on(state: ProjectState, *, at_once: bool) -> None:
    """A person says that providers may be asked again: those that wanted one, and `at_once` all."""
    state.resting = {} if at_once else {name: r for name, r in state.resting.items() if r.until is not None}
    if at_once:
        state.not_before = None


def _until(said: datetime | None, count: int, now: datetime) -> datetime:
    # Bounded before it is multiplied: a provider may be out of reach for weeks.
    wait = min(_FIRST_WAIT * 2 ** min(count - 1, 10), _LONGEST_WAIT)
    until = said or now + wait
    return max(until, now + wait) if count >= _BELIEVED else until
