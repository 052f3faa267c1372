"""What a project does next: one pure function over its state."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from shiftwork.contracts.feature import FeatureStatus
from shiftwork.contracts.project import ProjectStatus
from shiftwork.contracts.state import FeatureState, ProjectState, RequestedSession
from shiftwork.planning.casting import needed
from shiftwork.planning.choose import ready
from shiftwork.planning.resting import back_at, wake_time


@dataclass(frozen=True, slots=True)
class StartSession:
    """Start a session on this feature; None means planning. `requested`: a person asked for it."""

    feature_id: int | None
    requested: RequestedSession | None = None


@dataclass(frozen=True, slots=True)
class ImportPeople:
    """Bring people's commits into main before anything else starts."""

    commit: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing starts now; `until` is when a timer should look again, None means only on a change."""

    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """The project rests in this status, for this reason."""

    status: ProjectStatus
    reason: str = ""


Decision = StartSession | ImportPeople | Wait | Stop


@dataclass(frozen=True, slots=True)
class _View:
    """What the rules look at."""

    state: ProjectState
    running: Mapping[int, int | None]
    now: datetime

    @property
    def ready(self) -> list[FeatureState]:
        return ready(self.state, {feature for feature in self.running.values() if feature is not None})

    def can_start(self, feature: FeatureState | None) -> bool:
        """Whether whoever its next session needs is there."""
        cast = needed(self.state, feature)
        return cast is None or cast.available(self.state.resting, self.now) is not None


def decide(state: ProjectState, running: Mapping[int, int | None], now: datetime) -> Decision:
    """What to do now: the first rule that has an answer gives it.

    Args:
        state: control state.
        running: session number → feature id of what runs now.
        now: the workflow's clock.
    """
    view = _View(state, running, now)
    for rule in _RULES:
        decision = rule(view)
        if decision is None:
            continue
        # A rest is declared only when nothing runs any more: what runs may still change it.
        return Wait() if running and isinstance(decision, Stop | ImportPeople) else decision
    return Wait()


def _closed(view: _View) -> Decision | None:
    return Wait() if view.state.status in (ProjectStatus.COMPLETED, ProjectStatus.ABANDONED) else None


def _unprepared(view: _View) -> Decision | None:
    return None if view.state.prepared else Wait()


def _people(view: _View) -> Decision | None:
    return ImportPeople(view.state.people_commit) if view.state.people_commit else None


def _completed(view: _View) -> Decision | None:
    features = view.state.features
    done = bool(features) and all(f.status is FeatureStatus.PASSING for f in features)
    return Stop(ProjectStatus.COMPLETED) if done else None


def _budget(view: _View) -> Decision | None:
    budget, spent = view.state.options.budget_usd, view.state.spent.cost_usd
    if budget is None or spent < budget:
        return None
    return _pause(view, f"the budget of ${budget:.2f} is spent (${spent:.2f}); raise it to go on")


def _rate_limited(view: _View) -> Decision | None:
    until = wake_time(view.state, view.now)
    return Wait(until) if until else None


def _full(view: _View) -> Decision | None:
    return Wait() if len(view.running) >= view.state.options.max_parallel else None


def _asked(view: _View) -> Decision | None:
    """The first session that people asked for and whose feature is free."""
    for asked in view.state.requested:
        if not view.state.features:
            return _planning(view, asked)
        for feature in view.ready:
            if asked.feature_id in (None, feature.id) and view.can_start(feature):
                return StartSession(feature.id, asked)
    return None


def _paused(view: _View) -> Decision | None:
    return Wait() if view.state.status is ProjectStatus.PAUSED else None


def _max_sessions(view: _View) -> Decision | None:
    most = view.state.options.max_sessions
    started = view.state.sessions_since_resume + sum(f is not None for f in view.running.values())
    if most is None or started < most:
        return None
    return Stop(ProjectStatus.PAUSED, f"max_sessions ({most}) reached; resume to go on")


def _plan(view: _View) -> Decision | None:
    if view.state.features:
        return None
    return _planning(view)


def _planning(view: _View, asked: RequestedSession | None = None) -> Decision | None:
    if view.running:
        return Wait()
    return StartSession(None, asked) if view.can_start(None) else None


def _next(view: _View) -> Decision | None:
    candidates = [f for f in view.ready if view.can_start(f)] if view.state.options.autorun else []
    return StartSession(candidates[0].id) if candidates else None


def _resting(view: _View) -> Decision | None:
    """Somebody could do something, and is not there now."""
    until = back_at(view.state, view.now)
    return Wait(until) if until else None


def _nothing_ready(view: _View) -> Decision | None:
    return Stop(ProjectStatus.PAUSED, _why_nothing_runs(view.state))


def _pause(view: _View, reason: str) -> Decision:
    paused = view.state.status is ProjectStatus.PAUSED
    return Wait() if paused else Stop(ProjectStatus.PAUSED, reason)


_RULES = (
    _closed,
    _unprepared,
    _people,
    _completed,
    _budget,
    _rate_limited,
    _full,
    _asked,
    _paused,
    _max_sessions,
    _plan,
    _next,
    _resting,
    _nothing_ready,
)


def _why_nothing_runs(state: ProjectState) -> str:
    """Why nothing runs although not every feature passes."""
    waiting = [f.name for f in state.features if f.waiting]
    if waiting:
        return f"{_names(waiting)} needs an answer from a person"
    if not state.options.autorun and ready(state):
        return "one session at a time: ask for the next with run-session"
    blocked = [f.name for f in state.features if f.status is FeatureStatus.BLOCKED]
    return f"nothing is ready: {_names(blocked)} blocked; edit it to lift this"


def _names(names: Collection[str], most: int = 3) -> str:
    shown = ", ".join(repr(name) for name in list(names)[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
