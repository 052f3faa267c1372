"""It always ends somewhere: limits, failures, rate limits, plans that can't be followed."""

from datetime import datetime

import pytest
import yaml

from tests.e2e.lab import SHOW_BRIEF, Lab, no_process_lives
from tests.e2e.support import simple_attempt, simple_feature

FAILING = [[{"exit": 3}]]


async def test_max_sessions_pauses(lab: Lab) -> None:
    """A project that runs on although a person wanted to look after so many sessions."""
    project = await lab.project([simple_feature(n) for n in "abc"], max_sessions=2)
    assert await project.pauses() == "max_sessions (2) reached; resume to go on"
    assert sorted((await project.statuses()).values()) == ["not_started", "passing", "passing"]
    after = await project.now()
    await lab.shiftwork.resume(project.id)
    await project.completes(after)


async def test_spent_attempts_block_the_feature_and_all_that_need_it(lab: Lab) -> None:
    """A hopeless feature that is tried for ever, or a dependent that waits without saying why."""
    features = [
        simple_feature("a"),
        simple_feature("b", "a"),
        simple_feature("c", "b"),
        simple_feature("d", priority=1),
    ]
    project = await lab.project(features, {"a": FAILING}, max_attempts=2)
    assert await project.pauses() == "nothing is ready: 'a', 'b', 'c' blocked; edit it to lift this"
    rows = await project.features()
    assert {name: f.status.value for name, f in rows.items()} == {
        **dict.fromkeys("abc", "blocked"),
        "d": "passing",
    }
    assert rows["a"].attempts == 2
    assert rows["c"].blocked_reason == "depends on 'b', which is blocked"
    told = {e.data["feature"]: e.data["reason"] for e in await project.events("blocked")}
    assert set(told) == {"a", "b", "c"}


async def test_five_identical_failures_pause(lab: Lab) -> None:
    """Money that is spent on the same failure over and over."""
    project = await lab.project(sessions={"a": FAILING}, max_attempts=50)
    reason = await project.pauses()
    assert reason == "feature 'a' failed 5 times in a row in the same way (agent crashed, exit status 3)"
    assert (await project.features())["a"].attempts == 5


async def test_a_step_without_a_command_blocks_at_once(lab: Lab) -> None:
    """An agent that is paid for a feature which nothing can ever verify."""
    vague = {**simple_feature("a"), "verification_steps": ["it looks nice"]}
    project = await lab.project([vague, simple_feature("b")])
    await project.pauses()
    rows = await project.features()
    assert rows["a"].status == "blocked"
    assert "command" in (rows["a"].blocked_reason or "")
    assert rows["b"].status == "passing"
    assert len(await project.events("session_started")) == 1


async def test_a_rate_limit_waits_and_costs_nothing(lab: Lab) -> None:
    """A rate limit that costs an attempt, is not waited for, or loses what was done before it."""
    limited = [{"write": {"path": "half.txt", "content": "half\n"}}, {"rate_limit": 6}]
    project = await lab.project(sessions={"a": [limited, simple_attempt("a", SHOW_BRIEF)]})
    await project.event("session_ended")
    status = await lab.shiftwork.status(project.id)
    until = datetime.fromisoformat(status["not_before"])
    await project.completes()
    assert (await project.event("session_started", "session:1")).at >= until
    feature = (await project.features())["a"]
    assert (feature.attempts, feature.runs) == (0, 2)
    assert project.request()["kept_work"]["files"] == ["half.txt"]


async def test_planning_without_a_plan_fails_and_pauses(lab: Lab) -> None:
    """A project that plans for ever, or goes on without a plan and without a word."""
    project = await lab.project(planned=False, max_attempts=2, start=False)
    project.cassette.write_text(yaml.safe_dump({"sessions": {"a": [[]]}}))
    await lab.shiftwork.open(project.id)
    assert await project.pauses() == "planning failed 2 times; see the logs, then resume"
    details = [e.data["detail"] for e in await project.events("attempt_ended")]
    assert details == ["The cassette has no plan.\nThe outbox holds no valid plan.json."] * 2
    assert await project.features() == {}


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ([simple_feature("a"), simple_feature("a")], "two features are named 'a'"),
        ([simple_feature("a", "b"), simple_feature("b", "a")], "in a cycle: a → b → a"),
        ([simple_feature("a", "ghost")], "depends on 'ghost', which does not exist"),
    ],
)
async def test_a_cassette_that_broke_meanwhile_pauses_with_its_place(lab: Lab, plan, says) -> None:
    """A mistake of a person that costs attempts, or is explained by a traceback."""
    project = await lab.project(planned=False, start=False)
    good = project.cassette.read_text()
    project.cassette.write_text(yaml.safe_dump({"plan": plan}))
    await lab.shiftwork.open(project.id)
    reason = await project.pauses()
    assert reason.startswith(f"{project.cassette}:2: plan: ")
    assert says in reason
    project.cassette.write_text(good)
    after = await project.now()
    await lab.shiftwork.resume(project.id)
    await project.completes(after)


async def test_a_hanging_agent_ends_with_its_time(lab: Lab) -> None:
    """An agent that hangs for ever, or leaves something running behind it."""
    daemon = {"spawn": "trap '' TERM; sleep 300"}
    hanging = [daemon, {"write": {"path": "a.txt", "content": "done\n"}}, "hang"]
    attempts = [hanging, simple_attempt("a", daemon, {"flood": 3}, SHOW_BRIEF)]
    project = await lab.project(sessions={"a": attempts}, session_timeout=8)
    await project.completes()
    await no_process_lives(lab)
    assert (await project.features())["a"].attempts == 1
    assert "its time was over" in project.request()["previous_failure"]


async def test_a_broken_outbox_costs_nothing_and_is_told(lab: Lab) -> None:
    """A broken outbox that costs an attempt, or is not told to the next agent."""
    commands = 'echo "{" > handoff.json; ln -s /etc/passwd question.json'
    broken = {"run": {"command": f'cd "$SHIFTWORK_OUTBOX"; {commands}'}}
    features = [simple_feature("a"), simple_feature("b", "a")]
    sessions = {"a": [simple_attempt("a", broken)], "b": [simple_attempt("b", SHOW_BRIEF)]}
    project = await lab.project(features, sessions)
    await project.completes()
    problems = project.request()["outbox_problems"]
    assert [p.split(":")[0] for p in problems] == ["handoff.json", "question.json"]
    assert (await project.features())["a"].attempts == 0
