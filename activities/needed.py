"""Of a project's sessions, which are over, and what of them somebody may still need."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shiftwork.contracts.project import ProjectStatus
from shiftwork.contracts.workflow import SessionStatus
from shiftwork.store.rows import AttemptRow, FeatureRow, ProjectRow, SessionRow
from shiftwork.store.store import Transaction

_OF_SESSION = re.compile(r"[svj](\d+)-.+")
"""Names of the folders and candidates of an attempt, a verification and a judgement."""

_HOME = re.compile(r"s(\d+)(-verifier)?")


@dataclass(frozen=True, slots=True)
class Needed:
    """What one project needs, as its rows say; made by `look`."""

    project: ProjectRow
    sessions: dict[int, SessionRow]
    commits: frozenset[str]
    before: datetime

    @property
    def closed(self) -> bool:
        """Whether the project has ended, and all its sessions have."""
        ended = self.project.status in (ProjectStatus.COMPLETED, ProjectStatus.ABANDONED)
        return ended and all(map(self.is_over, self.sessions.values()))

    def is_dead(self, name: str) -> bool:
        """Whether a workspace or a run folder of this name is of a session that is over."""
        found = _OF_SESSION.fullmatch(name)
        return found is not None and self._has_ended(int(found[1]))

    def is_dead_home(self, name: str) -> bool:
        """Whether nobody goes on with the conversation in a home of this name."""
        found = _HOME.fullmatch(name)
        if found is None or not self._has_ended(int(found[1])):
            return False
        return bool(found[2]) or self.closed or not _may_be_gone_on_with(self, self.sessions[int(found[1])])

    def is_dead_candidate(self, name: str, commit: str) -> bool:
        """Whether nobody builds on a candidate, which is at this commit, any more."""
        return self.is_dead(name) and commit not in self.commits

    def _has_ended(self, number: int) -> bool:
        session = self.sessions.get(number)
        return session is not None and self.is_over(session)

    def is_over(self, session: SessionRow) -> bool:
        """Whether it ended long enough ago."""
        return session.ended_at is not None and session.ended_at < self.before


async def look(tx: Transaction, project: ProjectRow, grace: timedelta) -> Needed:
    """What the project needs now.

    Args:
        grace: for how long after its end a session may still be cleared up by whoever did it.
    """
    sessions = {row.number: row for row in await tx.sessions.list(project.id)}
    needed = Needed(project, sessions, frozenset(), datetime.now(UTC) - grace)
    commits = set(_of_features(await tx.features.list(project.id)))
    for session in sessions.values():
        if _may_be_gone_on_with(needed, session):
            commits.update(_of_attempts(await tx.attempts.list(session.id)))
    return Needed(project, sessions, frozenset(commits), needed.before)


def _may_be_gone_on_with(needed: Needed, session: SessionRow) -> bool:
    """Whether it runs, or was interrupted and no later session of its feature has ended."""
    if session.ended_at is None:
        return True
    later = [
        row
        for row in needed.sessions.values()
        if row.feature_id == session.feature_id and row.number > session.number
    ]
    return session.outcome == SessionStatus.INTERRUPTED and not any(map(needed.is_over, later))


def _of_features(features: Iterable[FeatureRow]) -> Iterable[str]:
    for feature in features:
        yield from (commit for commit in (feature.kept_commit, feature.candidate) if commit)


def _of_attempts(attempts: Iterable[AttemptRow]) -> Iterable[str]:
    for row in attempts:
        yield from (commit for commit in (row.kept_commit, row.candidate) if commit)
