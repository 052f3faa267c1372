"""What people say to a project: guidance, answers, sessions, features, budgets, feedback."""

import pytest

from shiftwork.contracts.feature import FeatureEdit, FeatureSpec
from shiftwork.errors import Conflict, InvalidInput, NotFound
from shiftwork.temporal import project_workflow_id
from tests.e2e.lab import SHOW_BRIEF, Lab, no_process_lives
from tests.e2e.support import WorkerProcess, simple_attempt, simple_feature


async def test_guidance_reaches_the_next_brief(lab: Lab) -> None:
    """What a person says is not read by the agent it is for, or by one it is not for."""
    features = [simple_feature("a"), simple_feature("b", "a")]
    project = await lab.project(features, {"b": [simple_attempt("b", SHOW_BRIEF)]}, max_sessions=1)
    await project.pauses()
    await lab.shiftwork.steer(project.id, "Prefer short words.")
    await lab.shiftwork.steer(project.id, "Only b should hear this.", feature="b")
    await lab.shiftwork.steer(project.id, "Nothing for b.", feature="a")
    with pytest.raises(NotFound, match="no feature with the name or id 'c'"):
        await lab.shiftwork.steer(project.id, "x", feature="c")
    with pytest.raises(InvalidInput, match="text"):
        await lab.shiftwork.steer(project.id, "  ")
    after = await project.now()
    await lab.shiftwork.resume(project.id)
    await project.completes(after)
    said = [item["text"] for item in project.request()["guidance"]]
    assert said == ["Prefer short words.", "Only b should hear this."]
    assert "Prefer short words." in project.brief()


async def test_a_question_waits_for_its_answer_alone(lab: Lab) -> None:
    """One feature's question that stops the others, or whose answer the next agent does not read."""
    features = [simple_feature("a"), simple_feature("b"), simple_feature("c", "a")]
    asking = [
        [{"write": {"path": "half.txt", "content": "half\n"}}, {"ask": "Which colour?"}],
        simple_attempt("a", SHOW_BRIEF),
    ]
    project = await lab.project(features, {"a": asking})
    assert await project.pauses() == "'a' needs an answer from a person"
    assert await project.statuses() == {"a": "in_progress", "b": "passing", "c": "not_started"}
    status = await lab.shiftwork.status(project.id)
    assert [q["question"] for q in status["questions"]] == ["Which colour?"]
    with pytest.raises(Conflict, match="'b' has asked no question"):
        await lab.shiftwork.answer(project.id, "b", "red")

    await (await project.workflow()).terminate()  # the question is in the rows, not in the workflow alone
    after = await project.now()
    await lab.shiftwork.answer(project.id, "a", "Green, of course.")
    await project.completes(after)
    [guidance] = project.request()["guidance"]
    assert (guidance["question"], guidance["text"]) == ("Which colour?", "Green, of course.")
    assert "You asked: Which colour?" in project.brief()
    assert project.request()["kept_work"]["files"] == ["half.txt"]
    feature = (await project.features())["a"]
    assert (feature.attempts, feature.runs, feature.question, feature.waiting) == (0, 2, None, False)


async def test_one_session_at_a_time(lab: Lab) -> None:
    """A project without autorun that runs on, or a promised number that names no session."""
    features = [simple_feature("a"), simple_feature("b"), simple_feature("c", "b")]
    project = await lab.project(features, planned=False, autorun=False)
    assert "run-session" in await project.pauses()  # planning alone was done
    after = await project.now()
    number = await lab.shiftwork.run_session(project.id, "b")
    assert number == 1
    assert (await lab.shiftwork.wait_session(project.id, number))["outcome"] == "passed"
    await project.pauses()
    client = await lab.shiftwork.temporal()
    child = client.get_workflow_handle(f"{project_workflow_id(project.id)}-session-{number}")
    assert (await child.result())["status"] == "passed"
    assert await project.statuses() == {"a": "not_started", "b": "passing", "c": "not_started"}
    after = await project.now()
    assert await lab.shiftwork.run_session(project.id) == 2
    assert await lab.shiftwork.run_session(project.id, "c") == 3
    await project.completes(after)
    async with lab.shiftwork.store.transaction() as tx:
        rows = {s.number: s.feature_id for s in await tx.sessions.list(project.id)}
    ids = {f.id: name for name, f in (await project.features()).items()}
    assert {number: ids.get(feature) for number, feature in rows.items()} == {0: None, 1: "b", 2: "a", 3: "c"}


async def test_a_request_waits_for_no_other(lab: Lab) -> None:
    """A session that can't begin holds up the ones that were asked for after it."""
    features = [simple_feature("a"), simple_feature("b")]
    slow = {"a": [simple_attempt("a", {"sleep": 1})]}
    project = await lab.project(features, slow, autorun=False, max_parallel=2)
    await project.pauses()
    after = await project.now()
    await lab.shiftwork.run_session(project.id, "a")
    with pytest.raises(Conflict, match="a session works on feature 'a' already"):
        await lab.shiftwork.run_session(project.id, "a")
    await lab.shiftwork.run_session(project.id, "b")
    await project.event("landed")
    assert (await project.statuses())["b"] == "passing"
    await project.completes(after)


async def test_a_request_that_nothing_can_serve_is_dropped(lab: Lab) -> None:
    """Somebody who waits for ever for a session that was promised and can't be."""
    hopeless = {"a": [[{"sleep": 1}, {"exit": 1}]]}
    features = [simple_feature("a"), simple_feature("b")]
    project = await lab.project(features, hopeless, autorun=False, max_attempts=1)
    await project.pauses()
    first = await lab.shiftwork.run_session(project.id, "a")
    second = await lab.shiftwork.run_session(project.id)
    await lab.shiftwork.edit_feature(project.id, FeatureEdit(feature="b", depends_on=("a",)))
    await project.event("session_ended", f"session:{first}")
    await project.event("session_dropped", f"session:{second}")
    handle = await project.workflow()
    assert (await handle.query("status"))["requested"] == []
    assert await project.statuses() == {"a": "blocked", "b": "blocked"}


async def test_what_cannot_be_done_is_refused_with_one_sentence(lab: Lab) -> None:
    """A mistake of a person that changes something, fails the workflow, or is explained by a traceback."""
    features = [simple_feature("a"), simple_feature("b", "a"), simple_feature("c", "b")]
    project = await lab.project(features, max_sessions=1)
    await project.pauses()
    shiftwork, before = lab.shiftwork, await project.now()
    with pytest.raises(NotFound, match="has no feature 'z'; `features` lists them"):
        await shiftwork.run_session(project.id, "z")
    with pytest.raises(Conflict, match="'a' is not ready for a session: it is passing"):
        await shiftwork.run_session(project.id, "a")
    with pytest.raises(Conflict, match="'c' is not ready for a session: it depends on 'b'"):
        await shiftwork.run_session(project.id, "c")
    with pytest.raises(InvalidInput, match="'d' depends on 'z', which does not exist"):
        await shiftwork.add_feature(project.id, FeatureSpec(name="d", depends_on=("z",)))
    with pytest.raises(InvalidInput, match="in a cycle: d → d"):
        await shiftwork.add_feature(project.id, FeatureSpec(name="d", depends_on=("d",)))
    with pytest.raises(InvalidInput, match="in a cycle: a → c → b → a"):
        await shiftwork.edit_feature(project.id, FeatureEdit(feature="a", depends_on=("c",)))
    with pytest.raises(Conflict, match="has a feature 'a' already; edit it instead"):
        await shiftwork.add_feature(project.id, FeatureSpec(name="a"))
    with pytest.raises(Conflict, match="no checkpoint 'abcd1234'"):
        await shiftwork.revert(project.id, "abcd1234")
    assert await project.now() == before
    assert await project.statuses() == {"a": "passing", "b": "not_started", "c": "not_started"}
    handle = await project.workflow()
    history = await handle.fetch_history()
    refused = [e for e in history.events if e.HasField("workflow_execution_update_accepted_event_attributes")]
    assert len(refused) == 1  # only the revert, which asks the rows


async def test_a_feature_added_at_the_end_opens_the_project_again(lab: Lab) -> None:
    """A completed project that takes no more work, or forgets what it did."""
    project = await lab.project(
        [simple_feature("a")], {"a": [simple_attempt("a")], "b": [simple_attempt("b", SHOW_BRIEF)]}
    )
    await project.completes()
    await (await project.workflow()).result()
    after = await project.now()
    added = await lab.shiftwork.add_feature(
        project.id, FeatureSpec.model_validate(simple_feature("b", "a", priority=9))
    )
    await project.completes(after)
    assert (await project.features())["b"].id == added
    assert project.landings() == ["a", "b"]
    assert project.request()["session"] == 1
    description = await (await project.workflow()).describe()
    row = await lab.shiftwork.find(project.id)
    assert await description.static_summary() == row.name


async def test_an_edit_lifts_blocked(lab: Lab) -> None:
    """A feature that stays blocked, with its dependents, after a person mended what was asked of it."""
    impossible = simple_feature("a", command="grep -qx never a.txt")
    project = await lab.project([impossible, simple_feature("b", "a")], max_attempts=1)
    assert await project.pauses() == "nothing is ready: 'a', 'b' blocked; edit it to lift this"
    reasons = {name: f.blocked_reason for name, f in (await project.features()).items()}
    assert reasons == {
        "a": "1 attempts spent; edit the feature to lift this",
        "b": "depends on 'a', which is blocked",
    }
    after = await project.now()
    steps = FeatureSpec.model_validate(simple_feature("a")).verification_steps
    edit = FeatureEdit(feature="a", verification_steps=steps, description="Says done.", priority=7)
    await lab.shiftwork.edit_feature(project.id, edit)
    await lab.shiftwork.resume(project.id)
    await project.completes(after)
    feature = (await project.features())["a"]
    assert (feature.description, feature.priority) == ("Says done.", 7)


async def test_editing_what_passes_makes_it_prove_itself_again(lab: Lab) -> None:
    """A feature that counts as passing by steps that nobody executed."""
    project = await lab.project([simple_feature("a")], {"a": [simple_attempt("a"), simple_attempt("a")]})
    await project.completes()
    after = await project.now()
    steps = FeatureSpec.model_validate(simple_feature("a", command="test -s a.txt")).verification_steps
    await lab.shiftwork.edit_feature(project.id, FeatureEdit(feature="a", verification_steps=steps))
    await project.completes(after)
    assert len(await project.events("session_started")) == 2


async def test_the_budget_stops_a_running_agent(lab: Lab) -> None:
    """An agent that goes on spending what nobody gave it, or a raised budget that is not used."""
    spending = [
        {"write": {"path": "half.txt", "content": "half\n"}},
        {"usage": {"input_tokens": 10, "output_tokens": 5, "cost_usd": 0.6}},
        {"usage": {"input_tokens": 10, "output_tokens": 5, "cost_usd": 0.6}},
        {"run": {"command": '[ -e "$SHIFTWORK_BRIEF/kept.patch" ] || sleep 60'}},
    ]
    project = await lab.project(sessions={"a": [simple_attempt("a", *spending)]}, budget_usd=1.0)
    reason = await project.pauses()
    assert reason.startswith("the budget")
    await no_process_lives(lab)
    feature = (await project.features())["a"]
    assert (feature.attempts, feature.runs) == (0, 0)
    assert feature.kept_commit is not None
    assert (await lab.shiftwork.status(project.id))["cost_usd"] == pytest.approx(1.2)
    after = await project.now()
    await lab.shiftwork.resume(project.id)  # still spent: it must not start anything
    assert (await project.pauses(after)).startswith("the budget of $1.00 is spent ($1.20)")
    after = await project.now()
    await lab.shiftwork.set_budget(project.id, 5.0)
    await project.completes(after)
    assert (await lab.shiftwork.status(project.id))["budget_usd"] == 5.0


async def test_lessons_of_decisions_reach_later_briefs(lab: Lab) -> None:
    """Feedback that a person gave and no agent ever reads."""
    note = {"decision": {"decision": "use CSV", "reasoning": "simple", "tags": ["functional"]}}
    features = [simple_feature("a"), simple_feature("b", "a")]
    sessions = {"a": [simple_attempt("a", note)], "b": [simple_attempt("b", SHOW_BRIEF)]}
    project = await lab.project(features, sessions, max_sessions=1)
    await project.pauses()
    async with lab.shiftwork.store.transaction() as tx:
        [decision] = await tx.decisions.history(project.id)
    await lab.shiftwork.feedback(decision.id, "partial", score=7, lesson="Quote the commas.")
    await lab.shiftwork.feedback(decision.id, "partial")  # keeps what it does not name
    with pytest.raises(InvalidInput, match="outcome"):
        await lab.shiftwork.feedback(decision.id, "wonderful")
    with pytest.raises(NotFound):
        await lab.shiftwork.feedback(10**9, "success")
    after = await project.now()
    await lab.shiftwork.resume(project.id)
    await project.completes(after)
    [told] = project.request()["decisions"]
    assert (told["outcome"], told["score"], told["lesson"]) == ("partial", 1.0, "Quote the commas.")
    assert "Lesson: Quote the commas." in project.brief()
    assert len(await project.events("decision_feedback")) == 2


async def test_an_open_question_survives_a_new_worker(lab: Lab, shared_worker: WorkerProcess) -> None:
    """A question that only the process which heard it remembers."""
    asking = [[{"ask": "Which colour?"}], simple_attempt("a")]
    project = await lab.project(sessions={"a": asking})
    await project.pauses()
    assert shared_worker.stop() == 0
    shared_worker.start()
    after = await project.now()
    await lab.shiftwork.answer(project.id, "a", "blue")
    await project.completes(after)
