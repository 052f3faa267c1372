"""What a model may decide about a project that it makes, and what it may not."""

import pytest

from client.tools.arguments import CreateProject
from client.tools.projects import _folder, _lowered, options_for
from shiftwork.contracts.prices import Prices
from shiftwork.contracts.project import AgentOptions, ProjectOptions
from shiftwork.errors import InvalidInput

HAIKU = AgentOptions(
    backend="claude",
    settings={"model": "claude-haiku-4-5", "models": ["claude-haiku-*"]},
    prices=Prices(input=1, output=5),
)


def asked(**more) -> CreateProject:
    return CreateProject(name="x", description="y", **more)


def test_another_model_does_not_keep_the_first_ones_prices() -> None:
    """A dear model counted at a cheap one's price would spend a budget several times over."""
    base = ProjectOptions(agent=HAIKU, budget_usd=5)
    assert options_for(base, asked()).agent.prices == Prices(input=1, output=5)
    assert options_for(base, asked(model="claude-opus-4-5")).agent.prices is None
    assert options_for(base, asked(model="anthropic:claude-opus-4-5")).agent.prices is None


def test_a_budget_is_lowered_and_never_raised() -> None:
    """A model would give itself more money than whoever set the tools up."""
    base = ProjectOptions(agent=HAIKU, budget_usd=5)
    for wanted, given in ((1000, 5), (2, 2), (None, 5)):
        assert options_for(base, asked(budget_usd=wanted)).budget_usd == given
    most = asked(budget_usd=1000)
    assert "Its budget is $5.00" in _lowered(options_for(base, most), most)
    assert _lowered(options_for(base, asked(budget_usd=2)), asked(budget_usd=2)) == ""


def test_a_model_of_no_known_price_is_refused_under_a_budget() -> None:
    """A model that counts as free would never spend the budget."""
    with pytest.raises(InvalidInput, match="whose price is not known"):
        options_for(ProjectOptions(agent=HAIKU, budget_usd=5), asked(model="nobody-knows-1"))
    free = options_for(ProjectOptions(agent=HAIKU), asked(model="nobody-knows-1"))
    assert free.agent.settings["model"] == "nobody-knows-1"


def test_an_agent_with_listed_models_stays() -> None:
    """Another agent would not know of the list, and ask what it likes."""
    with pytest.raises(InvalidInput, match="it stays 'claude', for which the models are chosen"):
        options_for(ProjectOptions(agent=HAIKU), asked(agent="codex"))
    base = ProjectOptions(agent=HAIKU.model_copy(update={"settings": {}}))
    assert options_for(base, asked(agent="codex")).agent.backend == "codex"


@pytest.mark.parametrize("path", ["~nosuchuser/x", "/a\0b", "relative"])
def test_a_folder_that_can_not_be_is_told_in_a_sentence(path: str) -> None:
    """A model that is shown an error of Python's own learns nothing from it."""
    with pytest.raises(InvalidInput, match=r"^working_directory (is|holds)"):
        _folder(path)
