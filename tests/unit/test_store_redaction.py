"""What goes into a real PostgreSQL is redacted, stays JSON, and what must be exact stays exact."""

import json
from datetime import UTC, datetime

import pytest

from shiftwork.contracts.feature import FeatureSpec, VerificationStep
from shiftwork.contracts.outbox import DecisionNote, Outbox, ProgressNote
from shiftwork.contracts.plan import Plan
from shiftwork.contracts.session import Role, RunStatus
from shiftwork.errors import InvalidInput
from shiftwork.secrets import LazyRedactor
from shiftwork.store.migrate import migrate
from shiftwork.store.rows import TranscriptItem
from shiftwork.store.store import Store

KEY = "s3cr3t-Value-0123"
PRIVATE = "-----BEGIN PRIVATE KEY-----\n" + "MIIE" * 16 + "\n"
PUTTY = "PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nPublic-Lines: 6\n" + "AAAAB3NzaC1yc2E" * 4
COMMAND = "psql postgresql://user:password@localhost/db -c 'select 1'"


@pytest.fixture
async def store(database_url):
    await migrate(database_url)
    async with Store(database_url, redact=LazyRedactor({"A_KEY": KEY, "PASSWORD": "12345678"})) as store:
        yield store


async def stored(store, payload):
    """What comes back of a payload of a transcript."""
    async with store.transaction() as tx:
        project = await tx.projects.create("chat")
        session = await tx.sessions.begin(project.id, 1, None, Role.SESSION, datetime.now(UTC))
        attempt = await tx.attempts.begin(session.id, "host", 30)
        item = TranscriptItem(sequence=1, kind="text", payload=payload)
        await tx.transcript.append(session.id, attempt.attempt, attempt.token, [item])
        [row] = await tx.transcript.after(session.id, 1, -1, 10)
    return row.payload


@pytest.mark.parametrize(
    "text",
    [
        PRIVATE + '"quoted"',
        json.dumps({"private_key": PRIVATE}),
        json.dumps(json.dumps({"private_key": PRIVATE})),
        PRIVATE + "\\",
        PUTTY + '"quoted"',
        json.dumps({"putty": PUTTY}),
        json.dumps(json.dumps({"Authorization": "Basic dXNlcjpwYXNzd29yZA=="})),
        f'a "{KEY}" b',
    ],
)
async def test_json_stays_json_whatever_is_taken_out(store, text):
    """If it failed, the database would refuse what an agent said, and its paid run would be repeated."""
    found = await stored(store, {"text": text, "input_tokens": 12345678})

    assert "[redacted:" in found["text"]
    assert found["input_tokens"] == 12345678
    for secret in (KEY, "MIIEMIIE", "NzaC1yc2E", "dXNlcjpw"):
        assert secret not in found["text"]


async def test_what_must_be_exact_is_not_altered(store):
    """If it failed, a project would be verified by another command than its plan says."""
    spec = FeatureSpec(
        name="a/b@c",
        description=f"see {KEY}",
        verification_steps=(VerificationStep(description="x", command=COMMAND),),
    )
    async with store.transaction() as tx:
        project = await tx.projects.create("chat", spec=KEY, repository="https://u:secretpw@h/x.git")
        [feature] = await tx.features.adopt(project.id, [spec], 1)
        session = await tx.sessions.begin(project.id, 1, None, Role.SESSION, datetime.now(UTC))
        attempt = await tx.attempts.begin(session.id, "host", 30)
        outbox = Outbox(plan=Plan(features=[spec]), progress=[ProgressNote(action=KEY)])
        await tx.attempts.finish(
            session.id, attempt.attempt, attempt.token, outcome=RunStatus.COMPLETED, outbox=outbox
        )
        [row] = await tx.attempts.list(session.id)

    assert project.repository == "https://u:secretpw@h/x.git"
    assert project.spec == "[redacted:A_KEY]"
    assert feature.verification_steps == spec.verification_steps
    assert feature.description == "see [redacted:A_KEY]"
    assert row.outbox.plan.features[0].verification_steps == spec.verification_steps
    assert row.outbox.progress[0].action == "[redacted:A_KEY]"


async def test_lists_of_text_are_redacted(store):
    """If it failed, a tag or the name of a file would carry a secret into the rows."""
    async with store.transaction() as tx:
        project = await tx.projects.create("chat")
        note = DecisionNote(context="c", decision="d", reasoning="r", tags=(KEY, "plain"))
        row = await tx.decisions.record(project.id, None, 0, 0, note)

    assert set(row.tags) == {"[redacted:A_KEY]", "plain"}


async def test_a_value_that_is_never_taken_is_not_tried_again(store):
    """If it failed, an activity would repeat a statement, and a paid agent with it, for ever."""
    with pytest.raises(InvalidInput, match="does not take"):
        async with store.transaction() as tx:
            await tx.projects._run("SELECT $1::text::jsonb", "{")
    with pytest.raises(InvalidInput, match="does not take"):
        async with store.transaction() as tx:
            await tx.projects._run("SELECT $1::bigint", "x")


@pytest.mark.parametrize(
    "spec",
    [
        FeatureSpec(name=f"a {KEY}"),
        FeatureSpec(name="a", depends_on=(KEY,)),
        FeatureSpec(name="a", verification_steps=(VerificationStep(command=f"login {KEY}"),)),
    ],
)
async def test_what_must_be_exact_and_holds_a_secret_is_refused(store, spec):
    """If it failed, a project would be verified by a command that nobody wrote, with stars for a key."""
    async with store.transaction() as tx:
        project = await tx.projects.create("chat")
    with pytest.raises(InvalidInput, match="would hold the secret 'A_KEY'"):
        await adopt(store, project.id, spec)
    with pytest.raises(InvalidInput, match="would hold the secret 'A_KEY'"):
        await add_project(store, "other", f"https://h/{KEY}")
    async with store.transaction() as tx:
        assert await tx.features.list(project.id) == []
        assert await tx.projects.by_name("other") is None


async def adopt(store, project_id, spec):
    async with store.transaction() as tx:
        await tx.features.adopt(project_id, [spec], 1)


async def add_project(store, name, repository):
    async with store.transaction() as tx:
        await tx.projects.create(name, repository=repository)
