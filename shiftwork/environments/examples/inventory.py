"""A shop that orders for a demand it does not know: a simulation whose best policy is known."""

import math
import random
from itertools import count
from typing import Any, Final

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.protocol import ActionDefinition, ActionResult, Observation
from shiftwork.errors import InvalidInput

ENOUGH: Final = 0.8
"""Success: this share of what the best policy would have earned from the same customers."""

_MOST_DEMAND: Final = 100.0
_MOST_DAYS: Final = 1_000


class InventoryHarness(BaseHarness):
    """A shop orders every evening for the next day, not knowing how many customers will come.

    Each day brings a number of customers from a Poisson distribution, whose mean is drawn for each episode.
    A customer buys one piece or, if none is left, goes away. What is left overnight costs `holding`; what is
    left at the end is given back at `cost`. The reward of a step is the profit of the day.

    The best policy is known: fill up every evening to the same level, the smallest with which a day's demand
    is met with probability (price - cost) / (price - cost + holding); see `best_level`.

    Args:
        days: how long an episode is, and its number of steps.
        least_demand, most_demand: between these the mean demand of a day is drawn.
        price: what a customer pays for a piece.
        cost: what the shop pays for it.
        holding: what a piece costs that is left overnight.
        max_steps: None: as many as there are days.

    Raises:
        InvalidInput: a parameter is out of its range.
    """

    name = "inventory"

    def __init__(
        self,
        days: int = 30,
        *,
        least_demand: float = 5.0,
        most_demand: float = 40.0,
        price: float = 5.0,
        cost: float = 3.0,
        holding: float = 0.5,
        max_steps: int | None = None,
    ) -> None:
        if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= _MOST_DAYS:
            raise InvalidInput(f"days is {days!r}; give a whole number from 1 to {_MOST_DAYS}")
        if not 0 < least_demand <= most_demand <= _MOST_DEMAND:
            raise InvalidInput(
                f"the mean demand goes from {least_demand!r} to {most_demand!r}; give numbers above 0 and up "
                f"to {_MOST_DEMAND:g}, the lower one first"
            )
        if not (0 <= cost < price < math.inf and 0 < holding < math.inf):
            raise InvalidInput(
                f"price, cost and holding are {price!r}, {cost!r} and {holding!r}; give a price above the "
                "cost, a cost of at least 0 and a holding above 0"
            )
        super().__init__(
            self.name,
            f"Run a shop for {days} days: order every evening for customers whose number you don't know.",
            max_steps=days if max_steps is None else max_steps,
        )
        self.days = days
        self.least_demand, self.most_demand = least_demand, most_demand
        self.price, self.cost, self.holding = price, cost, holding
        self.most_order = math.ceil(4 * most_demand)
        self.mean = least_demand
        self.stock = 0
        self.demands: tuple[int, ...] = ()
        self.profit = 0.0
        self.told: tuple[int, int, float] = (0, 0, 0.0)
        """Of the last day: pieces ordered, pieces sold, profit."""

    async def reset(self, seed: int | None = None) -> Observation:  # noqa: ARG002 - `self.random` has it
        """Open an empty shop in a town of an unknown demand."""
        self.mean = self.random.uniform(self.least_demand, self.most_demand)
        self.stock, self.demands, self.profit, self.told = 0, (), 0.0, (0, 0, 0.0)
        return await self.get_observation()

    async def step(self, action: str, **parameters: Any) -> ActionResult:  # noqa: ARG002 - there is one
        """Order, and sell for a day."""
        ordered = int(parameters["quantity"])
        there = self.stock + ordered
        demand = poisson(self.mean, self.random)
        self.demands = (*self.demands, demand)
        sold = min(there, demand)
        self.stock = there - sold
        profit = self.price * sold - self.cost * ordered - self.holding * self.stock
        if self.is_over:
            profit += self.cost * self.stock
        self.profit += profit
        self.told = (ordered, sold, profit)
        return ActionResult(observation=await self.get_observation(), reward=profit)

    def get_action_space(self) -> list[ActionDefinition]:
        """One action."""
        quantity = {
            "type": "integer",
            "minimum": 0,
            "maximum": self.most_order,
            "description": f"From 0 to {self.most_order} pieces, which are there when the day begins",
        }
        return [
            ActionDefinition(
                name="order",
                description="Order for the next day, and open the shop",
                parameters={"quantity": quantity},
            )
        ]

    async def get_observation(self) -> Observation:
        """What the shop knows."""
        ordered, sold, profit = self.told
        return Observation(
            content=" ".join([*self._day_told(), *self._rules_told()]),
            available_actions=[] if self.is_over else self.get_action_space(),
            metadata={
                "day": len(self.demands),
                "days": self.days,
                "stock": self.stock,
                "ordered": ordered,
                "sold": sold,
                "demand": self.demands[-1] if self.demands else None,
                "profit_of_day": profit,
                "profit": self.profit,
            },
            terminated=self.is_over,
        )

    @property
    def is_over(self) -> bool:
        """Whether the last day is over."""
        return len(self.demands) >= self.days

    def is_success(self) -> bool:
        """Whether it earned `ENOUGH` of what the best policy would have."""
        return self.is_over and self.profit >= ENOUGH * self.profit_of(self.best_level())

    def best_level(self) -> int:
        """To which stock the best policy fills up every evening."""
        wanted = (self.price - self.cost) / (self.price - self.cost + self.holding)
        likely = 0.0
        for level in count():
            likely += math.exp(level * math.log(self.mean) - self.mean - math.lgamma(level + 1))
            if likely >= wanted or level >= self.most_order:
                return level
        raise AssertionError  # `count` has no end

    def profit_of(self, level: int) -> float:
        """What filling up to a level every evening would have earned from the customers so far."""
        stock, profit = 0, 0.0
        for demand in self.demands:
            ordered = max(level - stock, 0)
            sold = min(stock + ordered, demand)
            stock += ordered - sold
            profit += self.price * sold - self.cost * ordered - self.holding * stock
        return profit + self.cost * stock

    def solution(self) -> list[tuple[str, dict[str, Any]]]:
        """The next step of the best policy, which knows the mean demand; what follows depends on chance."""
        return [] if self.is_over else [("order", {"quantity": max(self.best_level() - self.stock, 0)})]

    def _day_told(self) -> list[str]:
        if not self.demands:
            return [f"You run a shop for {self.days} days, and it is the evening before the first."]
        ordered, sold, profit = self.told
        missed = self.demands[-1] - sold
        said = [
            f"Day {len(self.demands)} of {self.days} is over: you ordered {ordered}.",
            f"Customers: {self.demands[-1]}, of whom {sold} bought and {missed} found nothing left.",
            f"Profit of the day {profit:.2f}, in all {self.profit:.2f}.",
        ]
        if self.is_over:
            said.append("The shop closes.")
        return said

    def _rules_told(self) -> list[str]:
        if self.is_over:
            return []
        return [
            f"In stock: {self.stock}.",
            f"A piece costs you {self.cost:g} and is sold for {self.price:g}.",
            f"Each that is left overnight costs {self.holding:g}, and is taken back at cost in the end.",
            "How many customers come changes from day to day around a mean that stays the same.",
            f"How many pieces do you order for day {len(self.demands) + 1}?",
        ]


def poisson(mean: float, chance: random.Random) -> int:
    """A number from the Poisson distribution of this mean, which is at most a few hundred."""
    limit, product = math.exp(-mean), chance.random()
    for number in count():
        if product <= limit:
            return number
        product *= chance.random()
    raise AssertionError  # `count` has no end
