"""Other settings for an agent of a project that exists."""

import pytest

from activities.recording import save_control_state
from shiftwork.contracts.project import AgentOptions, ProjectOptions
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
OPTIONS = ProjectOptions(agent=AGENT, roles={Role.VERIFIER: JUDGE})


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
    mended = with_settings(OPTIONS, {"model": "o3"}, Role.VERIFIER)
    assert (mended.agent, mended.roles[Role.VERIFIER].settings) == (AGENT, {"model": "o3"})


def test_a_role_without_an_agent_of_its_own_is_refused():
    """If it failed, a project would silently get a verifier, or keep the wrong settings."""
    with pytest.raises(InvalidInput, match=r"plays the role 'session' \(those that have one: verifier\)"):
        with_settings(OPTIONS, {"model": "o3"}, Role.SESSION)


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
