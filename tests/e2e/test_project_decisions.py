"""Memory that teaches: what one session decided, and what came of it, changes what the next one does."""

import asyncpg

from shiftwork.contracts.feature import FeatureSpec, FeatureStatus
from shiftwork.contracts.project import AgentOptions, ProjectOptions
from shiftwork.stack.postgres import EmbeddedPostgres
from shiftwork.store.rows import DecisionRow
from tests.e2e.lab import Lab, Project, eventually
from tests.e2e.support import simple_attempt, simple_feature

# It looks at nothing but the decisions: neither at why the last attempt failed, nor at the steps.
AGENT = """
import json, os, pathlib
brief = json.loads(pathlib.Path(os.environ["SHIFTWORK_BRIEF"], "request.json").read_text())
lessons = [decision["lesson"] or "" for decision in brief["decisions"]]
name = "semicolons" if any("semicolon" in lesson for lesson in lessons) else "commas"
pathlib.Path(brief["feature"]["name"] + ".csv").write_text({"commas": "a,b", "semicolons": "a;b"}[name])
note = {"context": "The columns of exported tables", "decision": f"Separate columns with {name}"}
pathlib.Path(os.environ["SHIFTWORK_OUTBOX"], "decisions.jsonl").write_text(json.dumps(note))
"""
TELLS = "grep -qx 'a;b' {}.csv || {{ echo 'the reader wants a semicolon between columns'; exit 1; }}"
SILENT = "grep -qx 'a;b' {}.csv"


async def tables(lab: Lab, step: str) -> Project:
    """A project of two tables to export; sessions run when they are asked for."""
    program = lab.folder / "agent.py"
    program.write_text(AGENT)
    program.chmod(0o644)
    lab.folder.chmod(0o777)
    agent = AgentOptions(backend="command", settings={"argv": ["python3", str(program)]})
    sandbox = {"writable": [str(lab.folder)]}
    repository = lab.folder / "repository"
    row = await lab.shiftwork.create(
        f"tables {lab.folder.name}",
        "Export tables.",
        repository=repository,
        options=ProjectOptions.model_validate({"agent": agent, "sandbox": sandbox, "autorun": False}),
    )
    features = [
        simple_feature("orders", command=step.format("orders")),
        simple_feature("invoices", "orders", command=step.format("invoices")),
    ]
    for feature in features:
        feature["description"] = "Export a table; a reader finds its columns."
    async with lab.shiftwork.store.transaction() as tx:
        await tx.features.adopt(row.id, [FeatureSpec.model_validate(f) for f in features], 1)
    await lab.shiftwork.open(row.id)
    return Project(lab, row.id, repository, program)


async def session(project: Project, feature: str) -> str:
    """The outcome of one session of this feature."""
    shiftwork = project.lab.shiftwork
    number = await shiftwork.run_session(project.id, feature)
    row = await shiftwork.wait_session(project.id, number)
    return str(row["outcome"])


async def decisions(project: Project) -> list[DecisionRow]:
    """What was decided, oldest first."""
    async with project.lab.shiftwork.store.transaction() as tx:
        return list(reversed(await tx.decisions.history(project.id)))


async def forget(project: Project, postgres: EmbeddedPostgres) -> None:
    """Empty the project's memory."""
    connection = await asyncpg.connect(postgres.url())
    await connection.execute("DELETE FROM decisions WHERE project_id = $1", project.id)
    await connection.close()


async def test_what_failed_teaches_the_next_session(lab: Lab, postgres: EmbeddedPostgres) -> None:
    """An agent that does what failed again, because nobody told it what became of its decision."""
    project = await tables(lab, TELLS)
    assert await session(project, "orders") == "failed"
    await forget(project, postgres)
    assert await session(project, "orders") == "failed", "with its memory emptied nothing was learnt"
    assert await session(project, "orders") == "passed"
    assert await session(project, "invoices") == "passed", "another feature learns from it too"

    found = await decisions(project)
    assert [(d.decision.split()[-1], d.outcome, d.score, d.judged_by) for d in found] == [
        ("commas", "failure", -0.5, "harness"),
        ("semicolons", "success", 0.5, "harness"),
        ("semicolons", "success", 0.5, "harness"),
    ]
    assert [(d.session, d.feature) for d in found] == [(1, "orders"), (2, "orders"), (3, "invoices")]
    assert found[0].lesson == "step 1 failed, exit status 1: the reader wants a semicolon between columns"
    assert found[0].lesson_by == "harness"


async def test_a_lesson_of_a_person_teaches_the_next_session(lab: Lab, postgres: EmbeddedPostgres) -> None:
    """Feedback of people that no agent acts on, or that the harness overwrites."""
    project = await tables(lab, SILENT)
    assert [await session(project, "orders") for _ in range(2)] == ["failed", "failed"]
    first, second = await decisions(project)
    await lab.shiftwork.feedback(first.id, "partial", score=-0.1, lesson="Readers expect a semicolon.")
    assert await session(project, "orders") == "passed"
    assert await session(project, "invoices") == "passed"
    found = await decisions(project)
    assert (found[0].outcome, found[0].judged_by, found[0].score) == ("partial", "person", -0.1)
    assert found[0].lesson == "Readers expect a semicolon."
    assert found[1] == second, "each keeps its own"

    await forget(project, postgres)
    await lab.shiftwork.add_feature(
        project.id, FeatureSpec.model_validate(simple_feature("bills", command=SILENT.format("bills")))
    )
    assert await session(project, "bills") == "failed"


async def test_decisions_of_interrupted_work_share_its_fate(lab: Lab) -> None:
    """A decision that nobody ever judges, because its session was interrupted and another landed."""
    note = {"decision": {"decision": "one file", "reasoning": "simple"}}
    project = await lab.project(sessions={"a": [[note, {"ask": "Which?"}], simple_attempt("a")]})
    await project.pauses()
    [asked] = await decisions(project)
    assert (asked.outcome, asked.judged_by) == (None, None)
    after = await project.now()
    await lab.shiftwork.answer(project.id, "a", "any")
    await project.completes(after)
    [landed] = await decisions(project)
    assert (landed.outcome, landed.score, landed.session) == ("success", 0.5, 0)


async def test_blocked_features_count_against_their_decisions(lab: Lab) -> None:
    """Decisions that stay open for ever, because their feature was given up while it waited."""
    note = {"decision": {"decision": "one file", "reasoning": "simple"}}
    project = await lab.project(sessions={"a": [[note, {"ask": "Which?"}]]})
    await project.pauses()
    await lab.shiftwork.set_feature_status(project.id, "a", FeatureStatus.BLOCKED, "nobody needs it")

    async def judged() -> bool:
        [decision] = await decisions(project)
        return decision.outcome == "failure" and "nobody needs it" in (decision.lesson or "")

    await eventually(judged)
