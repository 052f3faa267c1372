"""Who does what in a whole project: roles, fallbacks, prompts."""

from shiftwork.contracts.project import AgentOptions
from tests.e2e.lab import SHOW_BRIEF, Lab
from tests.e2e.support import simple_attempt, simple_feature, write_cassette


async def test_each_role_is_played_by_its_own_agent(lab: Lab) -> None:
    """A specialist that never gets its features, or is told what another role is told."""
    features = [simple_feature("a"), simple_feature("b", "a", category="documentation")]
    planner = write_cassette(lab.folder / "planner.yml", features, {})
    writer = write_cassette(lab.folder / "writer.yml", features, {"b": [simple_attempt("b", SHOW_BRIEF)]})
    project = await lab.project(
        [simple_feature("a")],
        planned=False,
        roles={
            "initializer": AgentOptions(settings={"cassette": str(planner)}),
            "documentation": AgentOptions(settings={"cassette": str(writer)}),
        },
        prompts={"documentation": "Write in rhymes."},
    )
    await project.completes()
    roles = {e.data["feature"]: e.data["role"] for e in await project.events("session_started")}
    assert roles == {"planning": "initializer", "a": "session", "b": "documentation"}
    prompts = [e.data["prompt"] for e in await project.events("attempt_started")]
    assert prompts == ["3", "1", "project"]
    assert "Write in rhymes." in project.brief()
    assert project.request()["role"] == "documentation"
    assert project.request()["prompts"] == {"documentation": "Write in rhymes."}


async def test_a_fallback_goes_on_with_what_was_kept(lab: Lab) -> None:
    """A project that waits hours for one provider although another one is there, or loses the work."""
    limited = [{"write": {"path": "half.txt", "content": "half\n"}}, {"rate_limit": 3600}]
    second = write_cassette(
        lab.folder / "second.yml", [simple_feature("a")], {"a": [[], simple_attempt("a", SHOW_BRIEF)]}
    )
    project = await lab.project(sessions={"a": [limited]}, start=False)
    first = (await lab.shiftwork.find(project.id)).options.agent
    fallback = AgentOptions(settings={"cassette": str(second)})
    async with lab.shiftwork.store.transaction() as tx:
        row = await tx.projects.get(project.id)
        agent = first.model_copy(update={"fallbacks": (fallback,)})
        options = row.options.model_copy(update={"agent": agent})
        await tx.projects.save(project.id, row.revision + 1, options=options)
    await lab.shiftwork.open(project.id)
    await project.completes()
    (rest,) = await project.events("agent_rests")
    assert (rest.data["agent"], rest.reference) == ("scripted", "session:0")
    feature = (await project.features())["a"]
    assert (feature.attempts, feature.runs) == (0, 2)
    assert project.request()["kept_work"]["files"] == ["half.txt"]
