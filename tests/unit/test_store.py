"""The store against a real PostgreSQL: revisions, repeated inserts, totals, restarts, deletion."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from sqlalchemy import text

from shiftwork.contracts.feature import FeatureEdit, FeatureSpec, FeatureStatus
from shiftwork.contracts.outbox import DecisionNote, Handoff
from shiftwork.contracts.project import AgentOptions, ProjectOptions, ProjectStatus
from shiftwork.contracts.session import Failure, FailureKind, Role, SessionPhase
from shiftwork.errors import Conflict, InvalidInput, NotFound, StackError
from shiftwork.store.migrate import migrate
from shiftwork.store.rows import TranscriptItem
from shiftwork.store.states import feature_states
from shiftwork.store.store import Store

NOW = datetime(2030, 1, 2, 3, 4, tzinfo=UTC)


async def a_session(store, name="chat"):
    """A project with one feature and its session 1; their rows."""
    async with store.transaction() as tx:
        project = await tx.projects.create(name)
        [feature] = await tx.features.adopt(project.id, [FeatureSpec(name="login")], 1)
        session = await tx.sessions.begin(project.id, 1, feature.id, Role.SESSION, NOW)
    return project, feature, session


async def test_project_comes_back_as_it_was_created(store):
    """If it failed, what a person decided about a project would be lost."""
    options = ProjectOptions(max_attempts=2, budget_usd=3.5, setup=["pip install x"])
    async with store.transaction() as tx:
        made = await tx.projects.create("chat", "Build it.", spec="# Chat", options=options, branch="main")
    async with store.transaction() as tx:
        found = await tx.projects.get(made.id)
    assert made == found
    assert found.options == options
    assert found.budget_usd == 3.5
    assert found.status is ProjectStatus.INITIALIZING


async def test_project_names_are_unique(store):
    """If it failed, a name would mean two projects."""
    async with store.transaction() as tx:
        await tx.projects.create("chat")
        with pytest.raises(Conflict, match="'chat'"):
            await tx.projects.create("chat")


async def test_projects_are_found_by_name_id_and_prefix(store):
    """If it failed, people could not name a project the short way."""
    async with store.transaction() as tx:
        project = await tx.projects.create("chat")
        for ref in ("chat", project.id, project.id.upper(), project.id[:8]):
            assert await tx.projects.find(ref) == project
        for ref in ("nothing", "", "%", project.id[:3], "a\0b", "deadbeef-0000"):
            with pytest.raises(NotFound, match="list of projects"):
                await tx.projects.find(ref)
        with pytest.raises(NotFound):
            await tx.projects.get("no-uuid")
        assert await tx.projects.by_name("other") is None


async def test_ambiguous_prefix_is_refused(store, database_url):
    """If it failed, a short id would pick a project by chance."""
    connection = await asyncpg.connect(database_url)
    for digit in "12":
        await connection.execute(
            "INSERT INTO projects (id, name, status, options) VALUES ($1::text::uuid, $1, 'paused', '{}')",
            f"abcd0000-0000-4000-8000-00000000000{digit}",
        )
    await connection.close()
    async with store.transaction() as tx:
        with pytest.raises(InvalidInput, match="several"):
            await tx.projects.find("abcd")


async def test_older_revision_of_a_project_is_ignored(store):
    """If it failed, a late activity would bring back an old status."""
    project, _, _ = await a_session(store)
    async with store.transaction() as tx:
        assert await tx.projects.save(
            project.id, 5, status=ProjectStatus.PAUSED, status_reason="budget", not_before=NOW
        )
        assert not await tx.projects.save(project.id, 5, status=ProjectStatus.ACTIVE)
        assert not await tx.projects.save(project.id, 4, status=ProjectStatus.ACTIVE)
        row = await tx.projects.get(project.id)
    assert (row.status, row.status_reason, row.revision) == (ProjectStatus.PAUSED, "budget", 5)
    assert row.not_before == NOW


async def test_older_revision_of_a_feature_is_ignored(store):
    """If it failed, a feature that passes could fall back to an earlier state."""
    _, feature, _ = await a_session(store)
    failure = Failure(kind=FailureKind.STEP_FAILED, step=1, exit_status=2)
    async with store.transaction() as tx:
        assert await tx.features.save(
            feature.id, 7, status=FeatureStatus.FAILING, attempts=1, last_failure=failure, candidate="c1"
        )
        assert not await tx.features.save(feature.id, 6, status=FeatureStatus.PASSING)
        row = await tx.features.get(feature.id)
        assert (row.status, row.attempts, row.last_failure) == (FeatureStatus.FAILING, 1, failure)
        assert await tx.features.save(feature.id, 8, last_failure=None, candidate=None)
        row = await tx.features.get(feature.id)
        assert (row.last_failure, row.candidate, row.attempts) == (None, None, 1)


async def test_next_revision_is_greater_than_all(store):
    """If it failed, a change by hand would be ignored, or a workflow would start below it."""
    project, feature, _ = await a_session(store)
    async with store.transaction() as tx:
        await tx.features.save(feature.id, 41, attempts=1)
        assert await tx.projects.revision(project.id) == 41
        assert await tx.projects.next_revision(project.id) == 42


async def test_features_are_adopted_once(store):
    """If it failed, a repeated plan would double features or overwrite their state."""
    project, feature, _ = await a_session(store)
    step = {"description": "runs", "command": "true", "files": {"t.py": "x"}}
    again = [
        FeatureSpec(name="login", priority=9),
        FeatureSpec(name="logout", depends_on=["login"], verification_steps=[step]),
    ]
    async with store.transaction() as tx:
        rows = await tx.features.adopt(project.id, again, 2)
        assert rows == await tx.features.adopt(project.id, again, 3)
    assert rows[0] == feature
    assert rows[1].spec == again[1]
    assert rows[1].problem is None
    assert "can't be verified" in (rows[0].problem or "")


@pytest.mark.parametrize(
    ("verifier", "steps", "problem"),
    [
        (True, [{"description": "looks right"}], None),
        (True, [], "give it verification steps."),
        (False, [{"description": "looks right"}], "or a verifier."),
    ],
)
async def test_a_feature_is_known_to_be_judged(store, verifier, steps, problem):
    """If it failed, people would be told of a problem that the project's verifier is there for."""
    roles = {Role.VERIFIER: AgentOptions()} if verifier else {}
    async with store.transaction() as tx:
        project = await tx.projects.create("judged", options=ProjectOptions(roles=roles))
        spec = FeatureSpec(name="page", verification_steps=steps)
        [row] = await tx.features.adopt(project.id, [spec], 1)
        assert row == await tx.features.get(row.id) == await tx.features.find(project.id, "page")
        added = await tx.features.add(project.id, spec.model_copy(update={"name": "other"}), 1)
    for each in (row, added):
        assert each.problem is problem is None or each.problem.endswith(problem)
        assert "judged" not in each.model_dump()
    assert feature_states([row])[0].verifiable is False


async def test_features_are_found_by_name_and_id(store):
    """If it failed, a person could not say which feature they mean."""
    project, feature, _ = await a_session(store)
    other, _, _ = await a_session(store, "other")
    async with store.transaction() as tx:
        for ref in ("login", " login ", feature.id, str(feature.id)):
            assert (await tx.features.find(project.id, ref)).id == feature.id
        for ref in ("nothing", "99999999999999999999999", "²", -1):
            with pytest.raises(NotFound, match="take one of"):
                await tx.features.find(project.id, ref)
        with pytest.raises(NotFound):
            await tx.features.find(other.id, feature.id)
        with pytest.raises(Conflict, match="'login'"):
            await tx.features.add(project.id, FeatureSpec(name="login"), 2)


async def test_edit_lifts_blocked_and_asks_again(store):
    """If it failed, a blocked feature would stay so for ever, or pass by what is no longer asked."""
    _, feature, _ = await a_session(store)
    async with store.transaction() as tx:
        await tx.features.save(
            feature.id, 2, status=FeatureStatus.BLOCKED, attempts=5, blocked_reason="attempts spent"
        )
        assert await tx.features.edit(feature.id, 3, FeatureEdit(feature="login", priority=10))
        row = await tx.features.get(feature.id)
        assert (row.status, row.attempts, row.blocked_reason) == (FeatureStatus.NOT_STARTED, 0, None)
        assert row.priority == 10
        await tx.features.save(feature.id, 4, status=FeatureStatus.PASSING)
        await tx.features.edit(feature.id, 5, FeatureEdit(feature="login", description="more"))
        assert (await tx.features.get(feature.id)).status is FeatureStatus.PASSING
        steps = [{"command": "true"}]
        await tx.features.edit(feature.id, 6, FeatureEdit(feature="login", verification_steps=steps))
        assert (await tx.features.get(feature.id)).status is FeatureStatus.NOT_STARTED


async def test_session_begins_and_ends_once(store):
    """If it failed, a repeated activity would count a session twice or rewrite how it ended."""
    project, feature, session = await a_session(store)
    async with store.transaction() as tx:
        again = await tx.sessions.begin(project.id, 1, None, Role.TESTING, NOW + timedelta(days=1))
        assert again == session
        assert (await tx.projects.get(project.id)).total_sessions == 1
        assert await tx.sessions.phase(project.id, 1, SessionPhase.VERIFICATION)
        assert await tx.sessions.end(project.id, 1, outcome="landed", landed_commit="abc")
        assert not await tx.sessions.end(project.id, 1, outcome="failed", error="late")
        assert not await tx.sessions.phase(project.id, 1, SessionPhase.PLANNING)
        row = await tx.sessions.get(project.id, 1)
        assert (row.outcome, row.landed_commit, row.error) == ("landed", "abc", None)
        assert await tx.sessions.last(project.id) == row
        assert await tx.sessions.last(project.id, feature.id) == row
        assert await tx.sessions.last(project.id, feature.id + 1) is None
        assert await tx.sessions.last_number(project.id) == 1
        with pytest.raises(NotFound):
            await tx.sessions.get(project.id, 2)


async def test_handoff_reaches_the_next_session_until_it_expires(store):
    """If it failed, an agent would start without its predecessor's notes, or with stale ones."""
    project, feature, _ = await a_session(store)
    handoff = Handoff(
        summary="half done", observations=["a\0b", "\ud800", float("nan")], last_action="x", metadata={"k": 1}
    )
    async with store.transaction() as tx:
        assert await tx.sessions.handoff(project.id, 1, handoff)
        kept = await tx.sessions.last_handoff(project.id, 2, feature.id)
        assert kept is not None
        assert (kept.summary, kept.last_action, kept.metadata) == ("half done", "x", {"k": 1})
        assert kept.observations == ["a\ufffdb", "\ufffd", None]
        assert await tx.sessions.last_handoff(project.id, 1) is None
        await tx.sessions.handoff(project.id, 1, handoff, expires_at=NOW - timedelta(days=9999))
        assert await tx.sessions.last_handoff(project.id, 2) is None


async def test_progress_is_logged_once_and_read_as_text(store):
    """If it failed, a session's work would appear twice in the next brief."""
    project, _, session = await a_session(store)
    async with store.transaction() as tx:
        for _ in range(2):
            entry = await tx.progress.log(
                project.id, "Wrote\nit", outcome="ok", files_changed=["a.py"], commit="c" * 40,
                session_id=session.id, attempt=1, sequence=0,
            )  # fmt: skip
        await tx.progress.log(project.id, "By hand")
        await tx.progress.log(project.id, "By hand")
        assert len(await tx.progress.list(project.id)) == 3
        assert (await tx.progress.list(project.id, limit=1))[0].action == "By hand"
        first, *_ = (await tx.progress.as_text(project.id)).splitlines()
        assert first.endswith("session 1: Wrote it: ok (a.py) [cccccccccc]")
    assert entry.files_changed == ("a.py",)


async def test_checkpoints_by_unique_prefix(store):
    """If it failed, a revert could go to another commit than the one named."""
    project, feature, session = await a_session(store)
    async with store.transaction() as tx:
        one = await tx.checkpoints.add(project.id, "aaaa1", session.id, [feature.id])
        assert one == await tx.checkpoints.add(project.id, "aaaa1", None, [])
        await tx.checkpoints.add(project.id, "aaaa2", session.id, [])
        assert await tx.checkpoints.get(project.id, "AAAA1") == one
        assert one.passing == (feature.id,)
        with pytest.raises(InvalidInput, match="several"):
            await tx.checkpoints.get(project.id, "aaaa")
        for ref in ("a", "bbbb", "", "%%%%"):
            with pytest.raises(NotFound):
                await tx.checkpoints.get(project.id, ref)
        assert [row.commit for row in await tx.checkpoints.list(project.id)] == ["aaaa2", "aaaa1"]


async def test_evidence_is_added_once(store):
    """If it failed, a repeated verification would show every step twice."""
    _, feature, session = await a_session(store)
    async with store.transaction() as tx:
        for step in (0, 1):
            for first in (True, False):
                assert first == await tx.evidence.add(
                    session.id, 1, feature.id, step, commit="m1", verdict="passed", command="true"
                )
        assert await tx.evidence.add(session.id, 1, feature.id, 1, commit="base", verdict="step_failed")
        assert await tx.evidence.add(None, 0, feature.id, 0, commit="m2", verdict="passed")
        assert not await tx.evidence.add(None, 0, feature.id, 0, commit="m2", verdict="passed")
        assert [(row.step, row.commit) for row in await tx.evidence.for_session(session.id)] == [
            (0, "m1"), (1, "m1"), (1, "base"),
        ]  # fmt: skip
        assert [row.commit for row in await tx.evidence.latest(feature.id)] == ["m2", "base"]


async def test_deleting_a_project_takes_everything_with_it(store, database_url):
    """If it failed, a deleted project would leave rows behind, or could not be deleted at all."""
    project, feature, session = await a_session(store)
    other, _, _ = await a_session(store, "other")
    async with store.transaction() as tx:
        attempt = await tx.attempts.begin(session.id, "host", 30)
        await tx.usage.add(session.id, attempt.attempt, attempt.token, 0, input_tokens=1)
        await tx.transcript.append(
            session.id, attempt.attempt, attempt.token, [TranscriptItem(sequence=0, kind="text")]
        )
        await tx.progress.log(project.id, "x", session_id=session.id)
        await tx.decisions.record(project.id, session.id, 1, 0, DecisionNote(decision="x"))
        await tx.checkpoints.add(project.id, "c", session.id, [feature.id])
        await tx.evidence.add(session.id, 1, feature.id, 0, commit="c", verdict="passed")
        await tx.events.append(project.id, "created")
        await tx.events.append(other.id, "created")
    async with store.transaction() as tx:
        assert await tx.projects.delete(project.id)
        assert not await tx.projects.delete(project.id)
    connection = await asyncpg.connect(database_url)
    tables = [
        row["tablename"]
        for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    ]
    counts = {name: await connection.fetchval(f'SELECT count(*) FROM "{name}"') for name in tables}
    await connection.close()
    kept = ("projects", "features", "sessions", "events", "alembic_version")
    assert counts == {name: int(name in kept) for name in tables}


async def asked(store, use, rest: float = 0.0) -> list[str]:
    """What goes to the server, besides prepared statements, while a connection is used after a rest."""
    async with store._engine.connect() as connection:
        bare = (await connection.get_raw_connection()).driver_connection
    queries: list[str] = []

    async def note(record):
        queries.append(record.query)

    await use()  # statements are prepared at their first use
    await asyncio.sleep(rest)
    bare.add_query_logger(note)
    await use()
    await asyncio.sleep(0.05)  # the driver tells its loggers in tasks
    bare.remove_query_logger(note)
    return queries


@pytest.mark.parametrize(
    ("way", "frame"), [("transaction", ["BEGIN;", "COMMIT;"]), ("statements", [])], ids=str
)
async def test_a_connection_is_tried_by_one_question_after_a_rest(store, way, frame):
    """If it failed, each look at the database would wait for it twice more often than it needs."""

    async def look():
        async with getattr(store, way)() as tx:
            await tx.handoffs.latest(1)

    assert await asked(store, look, rest=5.2) == [";", *frame]
    assert await asked(store, look) == frame


async def test_single_statements_are_committed_by_themselves(store):
    """If it failed, what is written in one statement would be lost with what comes after it."""

    async def fail():
        async with store.statements() as tx:
            await tx.projects.create("chat")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with store.transaction() as tx:
        assert (await tx.projects.find("chat")).name == "chat"


async def test_survives_connections_that_the_server_ended(store, database_url):
    """If it failed, a restart of PostgreSQL would fail the next transactions of every worker."""
    project, _, _ = await a_session(store)
    admin = await asyncpg.connect(database_url)

    async def end_all():
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'shiftwork' AND datname = current_database()"
        )
        await asyncio.sleep(0.1)  # as they end, and a restart takes longer

    for way in (store.transaction, store.statements):
        await end_all()
        async with way() as tx:
            assert (await tx.projects.get(project.id)).name == "chat"

    async def interrupted():
        async with store.transaction() as tx:
            await tx.projects.save(project.id, 9, status=ProjectStatus.ACTIVE)
            await end_all()
            await tx.projects.readable()

    with pytest.raises(StackError, match="gave up a transaction"):
        await interrupted()
    async with store.transaction() as tx:
        assert (await tx.projects.get(project.id)).revision == 0
    await admin.close()


async def test_who_is_told_of_the_end_says_so_in_a_sentence(store, database_url):
    """If it failed, people would read of the driver's own states whenever PostgreSQL stops."""
    await migrate(database_url)
    admin = await asyncpg.connect(database_url)
    said = set()

    async def busy(way):
        while True:
            try:
                async with way() as tx:
                    await tx.connection.execute(text("SELECT 1"))
                    await tx.connection.execute(text("SELECT 2"))
            except StackError as error:
                said.add(str(error))

    async with Store(database_url) as ended:
        work = [asyncio.create_task(busy(way)) for way in (ended.transaction, ended.statements) * 3]
        for _ in range(500):
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'shiftwork' AND datname = current_database()"
            )
            await asyncio.sleep(0.002)
        assert not any(each.done() for each in work)  # nothing but what a person can act on
        for each in work:
            each.cancel()
        await asyncio.wait(work)
    assert said
    assert not [each for each in said if "state" in each]
    await admin.close()


async def test_a_database_that_moved_is_found_by_the_next_connection(database_url):
    """If it failed, a client would ask at an address where nobody is any more."""
    await migrate(database_url)
    nowhere = "postgresql://u:secret@127.0.0.1:1/x"
    places = [nowhere, database_url]
    store = Store(nowhere, moved=lambda: places[0])
    with pytest.raises(StackError, match="can't be reached"):
        await store.open()
    places.pop(0)
    async with store.transaction() as tx:
        assert (await tx.projects.readable())[0] == []
    places[0] = nowhere
    async with store.transaction() as tx:  # on the connection that there is
        assert (await tx.projects.readable())[0] == []
    await store.close()


async def test_stopped_process_holds_no_lock(database_url):
    """If it failed, a worker stopped inside a transaction would block its successor for ever."""
    await migrate(database_url)
    async with Store(database_url, idle_limit=0.2) as zombie, Store(database_url) as store:
        _, _, session = await a_session(store)
        async with store.transaction() as tx:
            mine = await tx.attempts.begin(session.id, "zombie", 60)

        async def stop_in_the_middle():
            async with zombie.transaction() as held:
                await held.leases.check(session.id, mine.token)
                async with asyncio.timeout(100), store.transaction() as tx:
                    await tx.attempts.begin(session.id, "successor", 60)
                await held.leases.check(session.id, mine.token)

        with pytest.raises(StackError):
            await stop_in_the_middle()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
async def test_every_form_of_dsn_is_understood(database_url, scheme):
    """If it failed, a DSN copied from elsewhere would be refused."""
    url = f"{scheme}://{database_url.partition('://')[2]}"
    await migrate(url)
    async with Store(url) as store, store.transaction() as tx:
        assert (await tx.projects.readable())[0] == []


@pytest.mark.parametrize("url", ["mysql://root:secret@h/db", "nonsense", "postgresql://h:port/db"])
async def test_what_is_no_dsn_is_refused(url):
    """If it failed, a typing error would end in a traceback, or show a password."""
    with pytest.raises(InvalidInput) as caught:
        async with Store(url):
            pass
    assert "secret" not in str(caught.value)


async def test_absent_server_is_one_sentence():
    """If it failed, a stopped PostgreSQL would show as a traceback."""
    with pytest.raises(StackError, match=r"127\.0\.0\.1:1/x can't be reached"):
        async with Store("postgresql://u:secret@127.0.0.1:1/x"):
            pass
