"""Other settings for an agent of a project that exists."""

import pytest

from activities.recording import save_control_state
from shiftwork.contracts.feature import FeatureCategory
from shiftwork.contracts.project import AgentOptions, AgentPlace, CategoryOptions, ProjectOptions
from shiftwork.contracts.session import Role
from shiftwork.contracts.state import ProjectState
from shiftwork.errors import InvalidInput
from shiftwork.planning.mending import with_settings
from shiftwork.secrets import LazyRedactor
from shiftwork.store.migrate import migrate
from shiftwork.store.store import Store
from workflows.ledger import Ledger

OTHER = AgentOptions(backend="claude")
AGENT = AgentOptions(
    backend="langchain", settings={"model": "openai:gtp", "base_url": "http://a"}, fallbacks=(OTHER,)
)
JUDGE = AgentOptions(backend="codex", settings={"model": "o9"})
PAINTER = AgentOptions(backend="opencode", settings={"model": "a/b"}, fallbacks=(OTHER, JUDGE))
OPTIONS = ProjectOptions(
    agent=AGENT,
    roles={Role.VERIFIER: JUDGE},
    categories={
        FeatureCategory.UI: CategoryOptions(role=Role.TESTING, agent=PAINTER),
        FeatureCategory.SECURITY: CategoryOptions(role=Role.TESTING),
    },
)


def test_settings_replace_those_of_the_same_name():
    """If it failed, mending the model would lose where it is, or who stands in for it."""
    agent = with_settings(OPTIONS, {"model": "openai:gpt"}).agent
    settings = {"model": "openai:gpt", "base_url": "http://a"}
    assert agent == AGENT.model_copy(update={"settings": settings})


def test_a_setting_that_is_none_goes():
    """If it failed, a setting that must not be there could not be mended."""
    assert with_settings(OPTIONS, {"base_url": None}).agent.settings == {"model": "openai:gtp"}


def test_a_role_chooses_whose_settings_they_are():
    """If it failed, mending the verifier would change who does the work."""
    mended = with_settings(OPTIONS, {"model": "o3"}, AgentPlace(role=Role.VERIFIER))
    assert (mended.agent, mended.roles[Role.VERIFIER].settings) == (AGENT, {"model": "o3"})


def test_a_role_without_an_agent_of_its_own_is_refused():
    """If it failed, a project would silently get a verifier, or keep the wrong settings."""
    with pytest.raises(InvalidInput, match=r"plays the role 'session' \(those that have one: verifier\)"):
        with_settings(OPTIONS, {"model": "o3"}, AgentPlace(role=Role.SESSION))


def test_a_category_chooses_whose_settings_they_are():
    """If it failed, the agent of a category could be mended only by making the project anew."""
    mended = with_settings(OPTIONS, {"model": "c/d"}, AgentPlace(category=FeatureCategory.UI))
    ui = mended.categories[FeatureCategory.UI]
    assert ui == CategoryOptions(
        role=Role.TESTING, agent=PAINTER.model_copy(update={"settings": {"model": "c/d"}})
    )
    assert (mended.agent, mended.roles) == (AGENT, OPTIONS.roles)


@pytest.mark.parametrize(
    ("place", "before"),
    [
        (AgentPlace(fallback=1), AGENT),
        (AgentPlace(category=FeatureCategory.UI, fallback=2), PAINTER),
    ],
)
def test_a_number_chooses_a_fallback(place, before):
    """If it failed, a fallback with a wrong model could never stand in."""
    mended = with_settings(OPTIONS, {"model": "o3"}, place)
    ui = mended.categories[FeatureCategory.UI].agent
    agent = mended.agent if place.category is None else ui
    assert agent.fallbacks[place.fallback - 1].settings == {"model": "o3"}
    others = [each for number, each in enumerate(before.fallbacks, 1) if number != place.fallback]
    assert [each for number, each in enumerate(agent.fallbacks, 1) if number != place.fallback] == others
    assert agent.model_copy(update={"fallbacks": before.fallbacks}) == before


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        (AgentPlace(category=FeatureCategory.SECURITY), r"does the category 'security' .* have one: ui\)"),
        (AgentPlace(category=FeatureCategory.UI, role=Role.VERIFIER), "say one of them"),
        (AgentPlace(fallback=2), "no fallback 2 of the project's agent, which has 1:"),
        (AgentPlace(fallback=0), "no fallback 0"),
        (AgentPlace(role=Role.VERIFIER, fallback=1), "of the agent of the role 'verifier', which has 0:"),
    ],
)
def test_a_place_without_an_agent_is_refused(place, sentence):
    """If it failed, a person would believe that something was mended."""
    with pytest.raises(InvalidInput, match=sentence):
        with_settings(OPTIONS, {"model": "o3"}, place)


def test_nothing_given_changes_nothing():
    """If it failed, a plain resume would make every agent another one."""
    assert with_settings(OPTIONS, {}) is OPTIONS


async def test_saved_options_leave_the_set_up_as_it_is(database_url):
    """If it failed, a changed budget or model would take away what prepares every checkout."""
    await migrate(database_url)
    options = ProjectOptions(agent=AGENT, setup=["pip install x"], setup_is_planned=True)
    async with Store(database_url) as store, store.transaction() as tx:
        project = await tx.projects.create("mended", options=options)
        known = options.model_copy(update={"setup": (), "setup_is_planned": False})
        state = ProjectState(project_id=project.id, name="mended", options=known)
        state.options = with_settings(known, {"model": "openai:gpt"})
        ledger = Ledger(state)
        ledger.note(options=True)
        assert await save_control_state(tx, ledger.take(), redactor=LazyRedactor({})) == ""
        saved = (await tx.projects.get(project.id)).options
    assert (saved.setup, saved.setup_is_planned) == (options.setup, True)
    assert saved.agent.settings["model"] == "openai:gpt"
