"""An edit or an option that was accepted, and in which a worker sees a secret by now."""

import pytest

from activities.recording import save_control_state
from shiftwork.contracts.bookkeeping import SaveRequest
from shiftwork.contracts.feature import FeatureEdit, FeatureSpec, VerificationStep
from shiftwork.contracts.project import ProjectStatus
from shiftwork.secrets import LazyRedactor, Secret
from shiftwork.store.migrate import migrate
from shiftwork.store.store import Store

KEY = "s3cr3t-Value-0123"
STEPS = (VerificationStep(command="true"),)


@pytest.fixture
async def redactor():
    learned = LazyRedactor({})
    learned.learn(Secret("credential", KEY))
    return learned


@pytest.fixture
async def store(database_url, redactor):
    await migrate(database_url)
    async with Store(database_url, redact=redactor) as store:
        yield store


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"edits": [FeatureEdit(feature="a", verification_steps=[VerificationStep(command=f"x {KEY}")])]},
            "an edit was not taken: The feature 'a' would hold the secret 'credential'",
        ),
        ({"edits": [FeatureEdit(feature="a", description=KEY)]}, "an edit was not taken: The description of"),
        (
            {"options": {"setup": [f"login {KEY}"]}},
            "The project's options would hold the secret 'credential'",
        ),
        ({"edits": [FeatureEdit(feature="a", priority=9)]}, ""),
    ],
)
async def test_the_rows_keep_what_they_had_and_the_rest_is_saved(store, redactor, changes, problem):
    """If it failed, a feature would be verified by a command with a mark for a key, and nobody told."""
    async with store.transaction() as tx:
        project = await tx.projects.create("chat")
        await tx.features.adopt(project.id, [FeatureSpec(name="a", verification_steps=STEPS)], 1)
        request = SaveRequest(project_id=project.id, revision=9, status=ProjectStatus.ACTIVE, **changes)
        said = await save_control_state(tx, request, redactor=redactor)
        [feature] = await tx.features.list(project.id)
        saved = await tx.projects.get(project.id)

    assert said.startswith(problem)
    assert bool(said) is bool(problem)
    assert (feature.verification_steps, feature.description) == (STEPS, "")
    assert (saved.status, saved.options.setup) == (ProjectStatus.ACTIVE, ())
    assert feature.priority == (5 if problem else 9)
