"""What agents are told of their roles."""

import pytest

from shiftwork.agents.brief import BriefRequest, ProjectBrief, render
from shiftwork.agents.roles import prompt_for
from shiftwork.contracts.session import Role


@pytest.mark.parametrize("role", list(Role))
def test_every_role_has_a_prompt_with_a_version(role: Role) -> None:
    """An agent in a role that nobody describes would not know what it is for."""
    prompt = prompt_for(role, {})
    assert int(prompt.version) >= 1
    assert "version" not in prompt.text.splitlines()[0]
    assert len(prompt.text) > 300


def test_a_project_may_have_its_own() -> None:
    """A project's own prompt replaces ours in that role, and in no other."""
    own = {Role.TESTING: "Only property tests.\n"}
    assert prompt_for(Role.TESTING, own).text == "Only property tests."
    assert prompt_for(Role.TESTING, own).version == "project"
    assert prompt_for(Role.SESSION, own) == prompt_for(Role.SESSION, {})


def test_the_brief_tells_it() -> None:
    """Every backend must be told, also those that know nothing of roles: by the brief."""
    prompt = prompt_for(Role.SESSION, {}).text
    request = BriefRequest(project=ProjectBrief(id="p", name="demo"), session=1, prompt=prompt)
    assert f"## How you work\n\n{prompt}" in render(request)
