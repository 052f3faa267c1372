"""What one run may spend."""

import pytest

from client.agents import check_definition
from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.contracts.task import TaskUsage
from shiftwork.errors import InvalidInput
from shiftwork.store.agents import AgentDefinition
from shiftwork.tasks.budget import RunBudget, dollars


@pytest.mark.parametrize(
    ("budget", "spent", "up", "over"),
    [
        (RunBudget(), TaskUsage(input_tokens=10**9, cost_usd=10**6), False, False),
        (RunBudget(usd=1), TaskUsage(cost_usd=0.99, input_tokens=10**9), False, False),
        (RunBudget(usd=1), TaskUsage(cost_usd=1), True, False),
        (RunBudget(usd=1), TaskUsage(cost_usd=1.000001), True, True),
        (RunBudget(usd=0), TaskUsage(), True, False),
        (RunBudget(tokens=10), TaskUsage(input_tokens=9), False, False),
        (RunBudget(tokens=10), TaskUsage(input_tokens=5, cache_read_tokens=5), True, False),
        (RunBudget(tokens=10), TaskUsage(output_tokens=5, cache_write_tokens=6), True, True),
        (RunBudget(usd=1, tokens=10), TaskUsage(cost_usd=0.5, output_tokens=11), True, True),
    ],
    ids=["none", "less", "all", "more", "nothing", "few", "all-tokens", "more-tokens", "either"],
)
def test_a_budget_binds(budget, spent, up, over):
    """If it failed, a run would be ended before its budget is spent, or go on after."""
    assert (budget.spent_up(spent) is not None, budget.overdrawn(spent) is not None) == (up, over)


def test_what_attempts_spent_adds_up() -> None:
    """If it failed, a lost attempt would spend beside the budget."""
    first = TaskUsage(calls=1, input_tokens=3, cost_usd=0.1, estimated=True)
    second = TaskUsage(calls=2, output_tokens=4, cost_usd=0.2)
    both = TaskUsage(calls=3, input_tokens=3, output_tokens=4, cost_usd=0.3, estimated=True)
    assert (first + second, second + first) == (both, both)
    assert TaskUsage() + TaskUsage() == TaskUsage()


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "$0.00"), (0.5, "$0.50"), (1234.5, "$1,234.50"), (0.00123, "$0.00123"), (1e-9, "$0.00")],
)
def test_dollars_are_told_exactly(amount: float, text: str) -> None:
    """If it failed, a sentence would say that $0.00 of $0.00 is spent."""
    assert dollars(amount) == text


def test_a_budget_that_nothing_keeps_is_refused() -> None:
    """If it failed, people would rely on a budget that binds nobody."""
    config = AgentConfiguration(budget_usd=1)
    with pytest.raises(InvalidInput, match=r"leave 'budget_usd' and 'budget_tokens' away"):
        check_definition(AgentDefinition(kind="python", code="pass", config=config))
    check_definition(AgentDefinition(kind="command", settings={"argv": ["true"]}, config=config))


def test_a_trace_that_tells_no_usage_is_none() -> None:
    """If it failed, a trace that somebody wrote by hand would make its task unreadable."""
    for told in (None, "much", [1], {"input_tokens": "x"}, {"cost_usd": {}}):
        assert TaskUsage.told_by({"usage": told}) is None
    assert TaskUsage.told_by({}) is None
    assert TaskUsage.told_by({"usage": {"output_tokens": 3, "more": 1}}) == TaskUsage(output_tokens=3)
