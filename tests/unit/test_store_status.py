"""The status of a project: its keys, the two ways to read it, and what reading it imports."""

import subprocess
import sys
import uuid
from datetime import UTC, datetime

import pytest

from shiftwork.contracts.feature import FeatureSpec, FeatureStatus
from shiftwork.contracts.project import ProjectStatus
from shiftwork.contracts.session import Role
from shiftwork.errors import NotFound, StackError
from shiftwork.store.status import FEATURE_STATUSES, project_status


async def test_status_says_where_a_project_stands(store, database_url):
    """If it failed, `status` would show other figures than the project's own, or miss a key."""
    async with store.transaction() as tx:
        project = await tx.projects.create("chat", repository="/r", budget_usd=5)
        features = await tx.features.adopt(project.id, [FeatureSpec(name=n) for n in ("a", "b", "c")], 1)
        await tx.features.save(features[0].id, 2, status=FeatureStatus.PASSING)
        await tx.features.save(features[1].id, 2, waiting=True, question="Which?")
        await tx.projects.save(project.id, 1, status=ProjectStatus.PAUSED, status_reason="by eva")
        session = await tx.sessions.begin(project.id, 1, features[1].id, Role.SESSION, datetime.now(UTC))
        attempt = await tx.attempts.begin(session.id, "h", 60)
        await tx.usage.add(session.id, 1, attempt.token, 0, input_tokens=4, cost_usd=0.15)
        await tx.usage.add(session.id, 1, attempt.token, 1, input_tokens=3, cost_usd=0.1, estimated=True)
        for n in range(12):
            await tx.progress.log(project.id, f"step {n}", session_id=session.id, sequence=n)
        through_store = await tx.projects.status(project.id)
    status = await project_status(database_url, "chat")
    assert status == through_store == await project_status(database_url, project.id[:6])
    assert status == await project_status(database_url)
    assert list(status)[:2] == ["project_id", "name"]
    expected = {
        "project_id": project.id, "name": "chat", "status": "paused", "reason": "by eva",
        "total_features": 3, "passing_features": 1, "progress_percent": 33.3,
        "sessions": 1, "tokens": 7, "cost_usd": 0.25, "budget_usd": 5, "not_before": None,
        "estimated": {"calls": 1, "tokens": 3, "cost_usd": 0.1},
        "feature_breakdown": {
            "not_started": 2, "in_progress": 0, "passing": 1, "failing": 0, "blocked": 0,
        },
        "questions": [{"feature_id": features[1].id, "feature": "b", "question": "Which?"}],
    }  # fmt: skip
    assert expected == {key: status[key] for key in expected}
    assert [entry["action"] for entry in status["recent_progress"]] == [f"step {n}" for n in range(11, 1, -1)]
    [current] = status["current_sessions"]
    assert (current["number"], current["feature"], current["phase"]) == (1, "b", "orientation")


async def test_status_of_an_empty_project(store, database_url):
    """If it failed, a project without features would divide by zero, or show null for a list."""
    async with store.transaction() as tx:
        project = await tx.projects.create("empty")
    status = await project_status(database_url, project.id)
    assert (status["progress_percent"], status["total_features"]) == (0.0, 0)
    assert status["estimated"] == {"calls": 0, "tokens": 0, "cost_usd": 0}
    assert status["recent_progress"] == status["current_sessions"] == status["questions"] == []


async def test_status_of_nothing_is_one_sentence(store, database_url):
    """If it failed, a wrong name would end in a traceback."""
    with pytest.raises(NotFound, match="no project yet"):
        await project_status(database_url)
    with pytest.raises(NotFound, match="'ghost'"):
        await project_status(database_url, "ghost")
    async with store.transaction() as tx:
        with pytest.raises(NotFound):
            await tx.projects.status("ghost")


async def test_status_of_an_empty_database_is_one_sentence(database_url):
    """If it failed, `status` before the first start would end in a traceback."""
    with pytest.raises(StackError, match="no Shiftwork tables"):
        await project_status(database_url)


def test_breakdown_knows_every_status():
    """If it failed, features of a new status would not be counted."""
    assert set(FEATURE_STATUSES) == {str(status) for status in FeatureStatus}


def test_status_imports_little():
    """If it failed, the command that people repeat most would start slowly."""
    heavy = ("sqlalchemy", "pydantic", "alembic", "temporalio", "langchain_core")
    code = f"import sys, shiftwork.store.status; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_who_misspells_a_name_is_told_the_one_that_was_meant(store, database_url):
    """If it failed, somebody who writes a name as a folder's would search a list for it."""
    async with store.transaction() as tx:
        project = await tx.projects.create(f"Two files {uuid.uuid4().hex}")
    written = project.name.lower().replace(" ", "-")
    with pytest.raises(NotFound, match=f"did you mean '{project.name}'"):
        await project_status(database_url, written)
    async with store.transaction() as tx:
        with pytest.raises(NotFound, match=f"did you mean '{project.name}'"):
            await tx.projects.find(written)
