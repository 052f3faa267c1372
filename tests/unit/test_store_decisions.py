"""Decisions against a real PostgreSQL: recorded once, found by tags and words, judged later."""

from datetime import UTC, datetime

import asyncpg
import pytest

from shiftwork.contracts.decision import DecisionOutcome, Judge, Judgement
from shiftwork.contracts.feature import FeatureSpec
from shiftwork.contracts.outbox import DecisionNote
from shiftwork.contracts.session import Role
from shiftwork.errors import InvalidInput, NotFound
from shiftwork.store.migrate import migrate
from shiftwork.store.recall import RECALL, Subject, recall_arguments, words_as_tags
from shiftwork.store.store import Store

MANY = """
INSERT INTO decisions (project_id, decision, reasoning, tags)
SELECT
    $1::uuid, 'choice ' || n, repeat(md5(n::text) || ' ', 20) || 'because of w' || n % 97,
    ARRAY['t' || n % 89]
FROM generate_series(1, 10000) AS n
"""


@pytest.fixture
async def tx(database_url):
    await migrate(database_url)
    async with Store(database_url) as store, store.transaction() as tx:
        yield tx


@pytest.fixture
async def project(tx):
    return await tx.projects.create("chat")


async def record(tx, project, decision, *, tags=(), context="", reasoning=""):
    note = DecisionNote(decision=decision, context=context, reasoning=reasoning, tags=tags)
    return await tx.decisions.record(project.id, None, 0, 0, note)


async def test_a_sessions_decision_is_recorded_once(tx, project):
    """If it failed, a repeated activity would tell the next agents everything twice."""
    session = await tx.sessions.begin(project.id, 1, None, Role.SESSION, datetime.now(UTC))
    note = DecisionNote(decision="Use SQLite", context="storage", reasoning="one file", tags=("db",))
    first = await tx.decisions.record(project.id, session.id, 1, 0, note)
    assert first == await tx.decisions.record(project.id, session.id, 1, 0, note)
    assert (first.decision, first.context, first.tags) == ("Use SQLite", "storage", ("db",))
    assert await tx.decisions.get(first.id) == first
    other = await tx.decisions.record(project.id, session.id, 1, 1, note)
    assert await tx.decisions.history(project.id) == [other, first]
    assert await tx.decisions.history(project.id, limit=1) == [other]


async def test_decisions_are_found_by_tag(tx, project):
    """If it failed, what was decided about an area would not reach those who work in it."""
    one = await record(tx, project, "REST", tags=("api", "architecture"))
    two = await record(tx, project, "JSON", tags=("api",))
    await record(tx, project, "Blue", tags=("ui",))
    assert await tx.decisions.relevant(project.id, ["api", "architecture"]) == [one, two]
    assert await tx.decisions.relevant(project.id, ["nothing"]) == []


async def test_decisions_are_found_by_words(tx, project):
    """If it failed, a feature would not be told what was decided about its subject."""
    login = await record(tx, project, "Sign tokens with HMAC", context="Logging users in")
    await record(tx, project, "Paint it blue")
    found = await tx.decisions.relevant(
        project.id, text="Users can log in with a password & 'quotes' \\ | !("
    )
    assert found == [login]
    assert await tx.decisions.relevant(project.id, text="the of and") == []
    assert await tx.decisions.relevant(project.id, text="\0 tokens \ud800") == [login]


async def test_better_matches_and_lessons_come_first(tx, project):
    """If it failed, a brief would be filled with what matters least."""
    weak = await record(tx, project, "Cache pages", context="speed")
    strong = await record(tx, project, "Cache the cache of caches", context="cache")
    assert await tx.decisions.relevant(project.id, text="cache") == [strong, weak]
    judged = await tx.decisions.feedback(weak.id, DecisionOutcome.FAILURE, -0.5, "stale pages")
    assert await tx.decisions.relevant(project.id, text="cache") == [judged, strong]
    assert await tx.decisions.relevant(project.id, text="cache", limit=1) == [judged]
    assert await tx.decisions.relevant(project.id) == [judged, strong]


@pytest.mark.parametrize(("score", "kept"), [(0.8, 0.8), (7, 1.0), (-3, -1.0), (float("inf"), 1.0)])
async def test_scores_are_clamped(tx, project, score, kept):
    """If it failed, one enthusiastic judge would outweigh everything."""
    decision = await record(tx, project, "x")
    judged = await tx.decisions.feedback(decision.id, DecisionOutcome.SUCCESS, score, "lesson")
    assert (judged.outcome, judged.score, judged.lesson) == (DecisionOutcome.SUCCESS, kept, "lesson")
    again = await tx.decisions.feedback(decision.id, DecisionOutcome.PARTIAL)
    assert (again.outcome, again.score, again.lesson) == (DecisionOutcome.PARTIAL, kept, "lesson")


async def test_feedback_on_nothing_is_refused(tx, project):
    """If it failed, a typing error would vanish without a word."""
    for unknown in (1, 0, 2**70):
        with pytest.raises(NotFound, match="list of decisions"):
            await tx.decisions.feedback(unknown, DecisionOutcome.SUCCESS)
    decision = await record(tx, project, "x")
    with pytest.raises(InvalidInput, match="not a number"):
        await tx.decisions.feedback(decision.id, DecisionOutcome.SUCCESS, float("nan"))


FAILED = Judgement(outcome=DecisionOutcome.FAILURE, score=-0.5, lesson="step 1 failed: no cache")
LANDED = Judgement(outcome=DecisionOutcome.SUCCESS, score=0.5)


@pytest.fixture
async def features(tx, project):
    return await tx.features.adopt(project.id, [FeatureSpec(name="login"), FeatureSpec(name="search")], 1)


async def decided_in(tx, project, number, feature, decision, **more):
    """A decision of a session, and the session's id."""
    session = await tx.sessions.begin(project.id, number, feature.id, Role.SESSION, datetime.now(UTC))
    note = DecisionNote(decision=decision, **more)
    return session.id, (await tx.decisions.record(project.id, session.id, 1, 0, note)).id


async def test_sessions_judge_their_decisions_once(tx, project, features):
    """If it failed, a later session would overwrite what an earlier one learnt, or a repetition both."""
    login, search = features
    failed, first = await decided_in(tx, project, 1, login, "first")
    assert await tx.decisions.judge_session(failed, FAILED) == 1
    _, interrupted = await decided_in(tx, project, 2, login, "interrupted")
    _, other = await decided_in(tx, project, 3, search, "other")
    landed, last = await decided_in(tx, project, 4, login, "last")
    _, later = await decided_in(tx, project, 5, login, "later")
    assert await tx.decisions.judge_session(landed, LANDED) == 2
    assert await tx.decisions.judge_session(landed, FAILED) == 0
    outcomes = {row.id: row.outcome for row in await tx.decisions.history(project.id)}
    assert outcomes == {first: "failure", interrupted: "success", other: None, last: "success", later: None}
    row = await tx.decisions.get(first)
    assert (row.session, row.feature, row.judged_by, row.lesson_by) == (1, "login", "harness", "harness")
    assert (row.score, row.lesson) == (-0.5, FAILED.lesson)
    assert await tx.decisions.judge_feature(login.id, FAILED) == 1


async def test_people_win_over_the_harness(tx, project, features):
    """If it failed, what a person knows would be overwritten, or pass for the harness's, or the reverse."""
    session, first = await decided_in(tx, project, 1, features[0], "first")
    await tx.decisions.judge_session(session, FAILED)
    judged = await tx.decisions.feedback(first, DecisionOutcome.PARTIAL)
    assert (judged.judged_by, judged.score) == (Judge.PERSON, None)
    assert (judged.lesson, judged.lesson_by) == (FAILED.lesson, Judge.HARNESS)
    judged = await tx.decisions.feedback(first, DecisionOutcome.SUCCESS, 0.9, "Ask first")
    assert (judged.lesson, judged.lesson_by) == ("Ask first", Judge.PERSON)
    assert await tx.decisions.judge_session(session, FAILED) == 0
    assert await tx.decisions.judge_feature(features[0].id, FAILED) == 0
    assert await tx.decisions.get(first) == judged


async def test_what_matters_most_is_recalled_first(tx, project, features):
    """If it failed, a brief would spend its room on what matters little, and leave lessons out."""
    login, search = features
    subject = Subject(
        text="Users log in with a password",
        tags=words_as_tags("Login password", "security"),
        feature_id=login.id,
        category="security",
    )
    strange = await record(tx, project, "Paint it blue")
    shared = await record(tx, project, "Passwords are hashed")
    tagged = await record(tx, project, "Cookies", tags=("password",))
    session, own = await decided_in(tx, project, 1, login, "Sessions end")
    other, failed = await decided_in(tx, project, 2, search, "Store users in a file")
    await tx.decisions.judge_session(other, FAILED)
    _, pinned = await decided_in(tx, project, 3, search, "Trees")
    await tx.decisions.feedback(pinned, DecisionOutcome.PARTIAL, 0.1, "Users forget things")
    elsewhere = await tx.projects.create("elsewhere")
    await record(tx, elsewhere, "Users log in with a password", tags=("password", "security"))

    async def found(**more):
        return [row.id for row in await tx.decisions.recall(project.id, subject, **more)]

    assert await found() == [pinned, failed, own, tagged.id, shared.id]
    assert await found() == await found()
    assert await found(newest=10) == [pinned, failed, own, tagged.id, shared.id, strange.id]
    assert await found(newest=10, limit=2) == [pinned, failed]
    assert await tx.decisions.judge_session(session, LANDED) == 1


# In these the better one is recorded first, and all else is equal: of equal ones the newer would come first.


@pytest.mark.parametrize(
    ("better", "weaker"),
    [
        ({"decision": "cache"}, {"decision": "x", "context": "cache"}),
        ({"decision": "y", "context": "cache"}, {"decision": "x", "reasoning": "cache"}),
        ({"decision": "cache"}, {"decision": f"cache {'and much else ' * 20}"}),
    ],
    ids=["decision before context", "context before reasons", "short before long"],
)
async def test_where_a_word_stands_decides(tx, project, better, weaker):
    """If it failed, a decision on the subject would stand behind one that mentions it in passing."""
    first = await record(tx, project, **better)
    second = await record(tx, project, **weaker)
    assert await tx.decisions.recall(project.id, Subject(text="cache"), newest=10) == [first, second]


@pytest.mark.parametrize("score", [1, 0.4, -0.4, -1])
@pytest.mark.parametrize("compared", [None, 0.2])
async def test_how_clearly_it_turned_out_decides(tx, project, score, compared):
    """If it failed, what is known to have worked or failed would stand behind what nobody knows of."""
    first = await record(tx, project, "cache it")
    second = await record(tx, project, "cache it")
    outcome = DecisionOutcome.SUCCESS if score > 0 else DecisionOutcome.FAILURE
    first = await tx.decisions.feedback(first.id, outcome, score)
    if compared is not None:
        second = await tx.decisions.feedback(second.id, DecisionOutcome.PARTIAL, compared)
    assert await tx.decisions.recall(project.id, Subject(text="cache"), newest=10) == [first, second]


async def test_how_old_it_is_decides(database_url):
    """If it failed, what was decided weeks ago would be told as if it were of today."""
    await migrate(database_url)
    connection = await asyncpg.connect(database_url)
    async with Store(database_url) as store:
        async with store.transaction() as tx:
            project = await tx.projects.create("chat")
            first = await record(tx, project, "cache it")
            second = await record(tx, project, "cache it")
            last = await record(tx, project, "something else")
        aged = "UPDATE decisions SET created_at = created_at - interval '2 days' WHERE id = $1"
        await connection.execute(aged, second.id)
        async with store.transaction() as tx:
            found = await tx.decisions.recall(project.id, Subject(text="cache"), newest=10)
    await connection.close()
    assert [row.id for row in found] == [first.id, second.id, last.id]


@pytest.mark.parametrize("text", ["", "the of", "'\\ | & !( :* \0 \ud800", "it's a <b x='y'>", "x" * 100_000])
async def test_any_text_can_be_asked_for(tx, project, text):
    """If it failed, the description of a feature could keep its sessions from starting."""
    kept = await record(tx, project, "it's kept")
    subject = Subject(text=text, tags=words_as_tags(text))
    assert await tx.decisions.recall(project.id, subject, newest=1) == [kept]


async def test_recalling_uses_the_indexes(database_url):
    """If it failed, every session of a project that knows much would read all that it and others know."""
    await migrate(database_url)
    connection = await asyncpg.connect(database_url)
    async with Store(database_url) as store:
        async with store.transaction() as tx:
            project = await tx.projects.create("chat")
        await connection.execute(MANY, project.id)
        await connection.execute("ANALYZE decisions")
        subject = Subject(text="Because w5 and w7 say so", tags=("t3",), feature_id=1, category="ui")
        async with store.transaction() as tx:
            rows = await tx.decisions.recall(project.id, subject, newest=20, limit=20)
    assert {tag for row in rows for tag in row.tags} == {"t3"}
    plan = await connection.fetch(f"EXPLAIN {RECALL}", *recall_arguments(project.id, subject, 20, 20))
    await connection.close()
    told = "\n".join(line for (line,) in plan)
    for index in ("search", "tags", "project_id_id"):
        assert f"ix_decisions_{index}" in told
    assert "Seq Scan on decisions" not in told


async def test_a_revert_marks_what_was_decided_for_the_landings_it_undoes(tx, project, features):
    """If it failed, decisions would stand whose work is undone, or others be taken for undone."""
    login, search = features
    first, standing = await decided_in(tx, project, 1, login, "stands")
    _, interrupted = await decided_in(tx, project, 2, login, "interrupted")
    middle, quick = await decided_in(tx, project, 3, search, "quick")
    last, landed = await decided_in(tx, project, 4, login, "landed")
    _, open_still = await decided_in(tx, project, 5, search, "open")
    for number, session, commit in ((1, first, "c1"), (3, middle, "c3"), (4, last, "c4")):
        await tx.sessions.end(project.id, number, outcome="passed", landed_commit=commit)
        await tx.decisions.judge_session(session, LANDED)
    own = await record(tx, project, "a person's, without a session")
    assert await tx.decisions.follow_revert(project.id, ["c4", "of a person"]) == (2, 0)
    assert await tx.decisions.follow_revert(project.id, ["c4", "of a person"]) == (0, 0)
    outcomes = {row.id: row.outcome for row in await tx.decisions.history(project.id)}
    assert outcomes == {
        standing: "success",
        interrupted: "reverted",
        quick: "success",
        landed: "reverted",
        open_still: None,
        own.id: None,
    }
    reverted = await tx.decisions.get(landed)
    assert (reverted.score, reverted.judged_by) == (-0.25, Judge.HARNESS)
    liked = await tx.decisions.feedback(quick, DecisionOutcome.SUCCESS, 1)
    assert await tx.decisions.follow_revert(project.id, ["c3", "c4", "c1"]) == (1, 0)
    assert await tx.decisions.get(quick) == liked
    assert (await tx.decisions.get(standing)).outcome == "reverted"


async def test_a_revert_leaves_the_decisions_of_other_projects(tx, project, features):
    """If it failed, a revert would mark the decisions of a project that has the same commits."""
    _, decision = await decided_in(tx, project, 1, features[0], "mine")
    await tx.sessions.end(project.id, 1, outcome="passed", landed_commit="c1")
    other = await tx.projects.create("another")
    assert await tx.decisions.follow_revert(other.id, ["c1"]) == (0, 0)
    assert (await tx.decisions.get(decision)).outcome is None
    assert await tx.decisions.follow_revert(project.id, ["c1"]) == (1, 0)
    assert await tx.decisions.follow_revert(other.id, []) == (0, 0)


async def test_what_stands_again_gets_back_the_outcome_it_had(tx, project, features):
    """If it failed, briefs would warn of decisions whose work is on main, because it once was not."""
    login, search = features
    failed, first = await decided_in(tx, project, 1, login, "failed first")
    await tx.decisions.judge_session(failed, FAILED)
    landed, second = await decided_in(tx, project, 2, login, "then landed")
    await tx.sessions.end(project.id, 2, outcome="passed", landed_commit="c2")
    await tx.decisions.judge_session(landed, LANDED)
    _, unjudged = await decided_in(tx, project, 3, search, "nobody said")
    await tx.sessions.end(project.id, 3, outcome="passed", landed_commit="c3")
    _, liked = await decided_in(tx, project, 4, search, "a person says")
    await tx.sessions.end(project.id, 4, outcome="passed", landed_commit="c4")

    async def rows():
        found = await tx.decisions.history(project.id)
        return {row.id: (row.outcome, row.score, row.lesson, row.judged_by) for row in found}

    before = await rows()
    assert await tx.decisions.follow_revert(project.id, ["c2", "c3", "c4"]) == (4, 0)
    assert {outcome for outcome, *_ in (await rows()).values()} == {"reverted"}
    await tx.decisions.feedback(liked, DecisionOutcome.REVERTED, -1)
    assert await tx.decisions.follow_revert(project.id, ["c3", "c4"]) == (0, 2)
    assert await tx.decisions.follow_revert(project.id, []) == (0, 1)
    judged = {liked: (DecisionOutcome.REVERTED, -1, None, Judge.PERSON)}
    assert await rows() == before | judged
    assert before[first] == (DecisionOutcome.FAILURE, FAILED.score, FAILED.lesson, Judge.HARNESS)
    assert (before[second][0], before[unjudged][0]) == (DecisionOutcome.SUCCESS, None)
