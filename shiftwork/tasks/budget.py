"""What one run may spend on models."""

from dataclasses import dataclass

from shiftwork.contracts.agent import PYTHON, AgentConfiguration
from shiftwork.contracts.task import TaskUsage
from shiftwork.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class RunBudget:
    """The budget of one run, all its attempts together.

    Attributes:
        usd: US dollars; None: no limit.
        tokens: of every class together; None: no limit.
    """

    usd: float | None = None
    tokens: int | None = None

    @classmethod
    def of(cls, config: AgentConfiguration) -> "RunBudget":
        """That of an agent's runs."""
        return cls(config.budget_usd, config.budget_tokens)

    def spent_up(self, usage: TaskUsage) -> str | None:
        """A sentence if nothing more may be spent, else None."""
        if self.usd is not None and usage.cost_usd >= self.usd:
            return f"The budget of this run is spent: {dollars(usage.cost_usd)} of {dollars(self.usd)}."
        if self.tokens is not None and usage.tokens >= self.tokens:
            return f"The budget of this run is spent: {usage.tokens:,} of {self.tokens:,} tokens."
        return None

    def overdrawn(self, usage: TaskUsage) -> str | None:
        """A sentence if more is spent than may be, else None."""
        over = self.usd is not None and usage.cost_usd > self.usd
        over |= self.tokens is not None and usage.tokens > self.tokens
        return self.spent_up(usage) if over else None


def dollars(amount: float) -> str:
    """So many US dollars, in cents, and in parts of one where they say more."""
    whole, _, parts = f"{amount:,.6f}".partition(".")
    return f"${whole}.{parts[:2]}{parts[2:].rstrip('0')}"


def check_budget(kind: str, config: AgentConfiguration) -> None:
    """Raise `InvalidInput` for a budget that nothing would keep an agent of this kind to."""
    if kind == PYTHON and RunBudget.of(config) != RunBudget():
        raise InvalidInput(
            "An agent of kind 'python' asks no model through the gateway, so nothing would keep it to its "
            "budget: leave 'budget_usd' and 'budget_tokens' away."
        )
