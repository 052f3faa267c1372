"""The shop with a demand by chance."""

import math
import random
import statistics

import pytest

from shiftwork.environments.examples import InventoryHarness
from shiftwork.environments.examples.inventory import poisson
from shiftwork.errors import InvalidInput

SEEDS = range(12)


async def run_shop(policy, seed, **options):
    """An episode in which a policy sees what an agent sees."""
    environment = InventoryHarness(**options)
    seen = await environment.reset(seed=seed)
    while not seen.done:
        (action,) = seen.available_actions
        most = action.parameters["quantity"]["maximum"]
        quantity = policy(environment, seen.metadata, most)
        result = await environment.step("order", quantity=quantity)
        assert result.success, result.error
        seen = result.observation
    return environment, environment.get_stats()


def best(environment, seen, most):
    ((_, parameters),) = environment.solution()
    return parameters["quantity"]


def learner():
    """Fills up to a bit above the mean of the demands that it saw."""
    demands = []

    def policy(environment, seen, most):
        if seen["demand"] is None:
            return 25
        demands.append(seen["demand"])
        mean = statistics.fmean(demands)
        return max(round(mean + 0.85 * math.sqrt(mean)) - seen["stock"], 0)

    return policy


async def test_the_best_policy_beats_chance_and_can_be_learnt():
    """There would be nothing to learn, or nothing that what is seen helps to learn."""
    chance = random.Random(1)
    totals = {"best": [], "learnt": [], "chance": []}
    won = 0
    for seed in SEEDS:
        totals["best"].append((await run_shop(best, seed))[1])
        totals["learnt"].append((await run_shop(learner(), seed))[1])
        totals["chance"].append((await run_shop(lambda _, __, most: chance.randint(0, most), seed))[1])
    assert all(stats.success for stats in totals["best"])
    assert not any(stats.success for stats in totals["chance"])
    won = sum(stats.success for stats in totals["learnt"])
    assert won >= 0.75 * len(SEEDS)
    means = {name: statistics.fmean(one.total_reward for one in found) for name, found in totals.items()}
    assert means["best"] > means["learnt"] > means["chance"]


@pytest.mark.parametrize("economy", [(5.0, 3.0, 0.5), (10.0, 1.0, 4.0), (4.0, 3.5, 2.0)])
@pytest.mark.parametrize("mean", [0.4, 6.0, 33.0])
def test_the_best_level_earns_most_of_all_levels(economy, mean):
    """The score that agents are held against would be too low.

    A day's expected profit, of which everything that is left keeps its worth, is worked out exactly.
    """
    price, cost, holding = economy
    environment = InventoryHarness(
        least_demand=mean, most_demand=mean, price=price, cost=cost, holding=holding
    )
    likely = [math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(150)]

    def expected(level):
        sold = sum(p * min(level, k) for k, p in enumerate(likely))
        return (price - cost) * sold - holding * (level - sold)

    values = [expected(level) for level in range(140)]
    assert values[environment.best_level()] == pytest.approx(max(values), abs=1e-9)


async def test_what_a_policy_would_have_earned_is_what_it_earns():
    """Success would be measured against something else than playing."""
    environment, stats = await run_shop(best, 5)
    assert environment.profit_of(environment.best_level()) == pytest.approx(stats.total_reward)


def test_demand_has_the_distribution_that_is_told():
    """The best policy would be the best for another shop."""
    chance = random.Random(2)
    drawn = [poisson(12.5, chance) for _ in range(20_000)]
    assert statistics.fmean(drawn) == pytest.approx(12.5, abs=0.12)
    assert statistics.variance(drawn) == pytest.approx(12.5, abs=0.6)


async def test_the_same_seed_brings_the_same_customers_whatever_is_ordered():
    """Two agents could not be compared."""
    first, _ = await run_shop(best, 8)
    second, _ = await run_shop(lambda *_: 0, 8)
    assert first.demands == second.demands
    assert second.profit == 0


async def test_an_order_that_is_refused_draws_no_customers():
    """A slip would change the luck of the rest."""
    demands = []
    for slips in (0, 3):
        environment = InventoryHarness(days=4)
        await environment.reset(seed=8)
        for _ in range(4):
            for _ in range(slips):
                assert not (await environment.step("order", quantity=-1)).success
            await environment.step("order", quantity=5)
        demands.append(environment.demands)
    assert demands[0] == demands[1]


@pytest.mark.parametrize(
    "options",
    [{"days": 0}, {"least_demand": 9, "most_demand": 8}, {"price": 1}, {"holding": 0}, {"cost": -1}],
)
def test_parameters_are_checked(options):
    """A shop that always loses would look like a bad agent."""
    with pytest.raises(InvalidInput, match="; give "):
        InventoryHarness(**options)
