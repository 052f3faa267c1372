"""The report of a project: everything a person may want to know, gathered from the rows.

The same rows always give the same report.
"""

from collections.abc import Mapping
from typing import Any

from client.report_agents import agents_of, judges, verdicts
from client.report_markdown import render_markdown
from client.telling import tell
from shiftwork.store.rows import (
    CheckpointRow,
    Estimates,
    EventRow,
    EvidenceRow,
    FeatureRow,
    ProjectRow,
    SessionRow,
)
from shiftwork.store.store import Store, Transaction

__all__ = ["project_report", "render_markdown"]

VERSION = 1

_ALL = 1_000_000
_PAGE = 500
_ROUTINE = frozenset(
    ("session_started", "attempt_started", "attempt_ended", "verification_passed", "session_ended", "landed")
)
"""Events that every session has, and that its row tells of; all others are of note."""


async def project_report(store: Store, project_id: str) -> dict[str, Any]:
    """The report as JSON can hold it; raises `NotFound`."""
    async with store.transaction() as tx:
        project = await tx.projects.get(project_id)
        status = await tx.projects.status(project_id)
        features = await tx.features.list(project_id)
        sessions = list(reversed(await tx.sessions.list(project_id)))
        names = {row.id: row.name for row in features}
        numbers = {row.id: row.number for row in sessions}
        guessed = await tx.usage.estimates(project_id)
        decisions = list(reversed(await tx.decisions.history(project_id, limit=_ALL)))
        checkpoints = list(reversed(await tx.checkpoints.list(project_id, limit=_ALL)))
        events = await _events(tx, project_id)
        agents = agents_of(events)
        said = await verdicts(tx, [row for row in sessions if judges(agents.get(row.number, ()))])
        return {
            "version": VERSION,
            "project": _project(project),
            "status": {name: value for name, value in status.items() if name not in {"project_id", "name"}},
            "features": [
                _feature(row, await tx.evidence.latest(row.id), said.get(row.id, {})) for row in features
            ],
            "sessions": [
                _session(row, names, guessed.get(row.id, Estimates()), agents.get(row.number, []))
                for row in sessions
            ],
            "decisions": [
                row.model_dump(mode="json", exclude={"project_id", "session_id"}) for row in decisions
            ],
            "checkpoints": [_checkpoint(row, names, numbers) for row in checkpoints],
            "events": [_event(row) for row in events if row.kind not in _ROUTINE],
        }


def _project(row: ProjectRow) -> dict[str, Any]:
    shown = {"id", "name", "description", "repository", "branch", "budget_usd", "created_at"}
    options = {"max_sessions", "max_attempts", "max_parallel", "autorun"}
    return {
        **row.model_dump(mode="json", include=shown),
        "agent": row.options.agent.backend,
        "options": row.options.model_dump(mode="json", include=options),
    }


def _feature(
    row: FeatureRow, evidence: list[EvidenceRow], said: Mapping[int, dict[str, Any]]
) -> dict[str, Any]:
    shown = {
        *("id", "name", "description", "category", "priority", "depends_on", "status", "attempts", "runs"),
        *("waiting", "question", "last_error", "blocked_reason", "passed_commit"),
    }
    latest = {each.step: each for each in evidence}
    return {
        **row.model_dump(mode="json", include=shown),
        "problem": row.problem,
        "verification": [
            {
                "step": index,
                "description": step.description,
                "command": step.command,
                "environment": step.environment.words if step.environment else None,
                "verdict": said.get(index),
                "evidence": _evidence(latest.get(index)),
            }
            for index, step in enumerate(row.verification_steps)
        ],
    }


def _evidence(row: EvidenceRow | None) -> dict[str, Any] | None:
    """The newest execution of a step; None if it was never executed."""
    if row is None:
        return None
    shown = {
        "commit",
        "verdict",
        "command",
        "exit_status",
        "duration_seconds",
        "output_digest",
        "output_tail",
        "created_at",
    }
    return row.model_dump(mode="json", include=shown)


def _session(
    row: SessionRow, names: dict[int, str], guessed: Estimates, agents: list[dict[str, Any]]
) -> dict[str, Any]:
    seconds = (row.ended_at - row.started_at).total_seconds() if row.ended_at else None
    shown = {
        *("number", "role", "phase", "outcome", "error", "landed_commit", "last_action"),
        *("recommended_next_action", "total_tokens", "total_cost_usd", "sandbox", "started_at", "ended_at"),
    }
    return {
        **row.model_dump(mode="json", include=shown),
        "feature": names.get(row.feature_id) if row.feature_id is not None else None,
        "seconds": seconds,
        "agents": agents,
        "estimated": guessed.model_dump(mode="json"),
    }


def _checkpoint(row: CheckpointRow, names: dict[int, str], numbers: dict[int, int]) -> dict[str, Any]:
    return {
        "commit": row.commit,
        "session": numbers.get(row.session_id) if row.session_id is not None else None,
        "passing": [names[each] for each in row.passing if each in names],
        **row.model_dump(mode="json", include={"created_at"}),
    }


def _event(row: EventRow) -> dict[str, Any]:
    return {**row.model_dump(mode="json", include={"sequence", "at", "kind", "actor"}), "text": tell(row)}


async def _events(tx: Transaction, project_id: str) -> list[EventRow]:
    found: list[EventRow] = []
    while page := await tx.events.after(project_id, found[-1].sequence if found else 0, _PAGE):
        found += page
    return found
