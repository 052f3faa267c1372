"""Environments and programs written as people of other systems write them: only their imports are ours."""

from typing import Any, Dict, List  # noqa: UP035 - as it is written elsewhere

import pytest

import client
import shiftwork.environments
from shiftwork.environments import (
    ActionDefinition,
    ActionResult,
    AgentRuntime,
    BaseHarness,
    HarnessAdapter,
    HarnessStatus,
    Observation,
    check_harness,
)
from shiftwork.environments.examples import NumberGuessHarness

# What is written here in another way than the rest of this repository is what is tested.
# ruff: noqa: UP006


class Orchard(BaseHarness):
    """Counts, begins and ends its episodes itself, and answers an action that it does not know."""

    def __init__(self):
        super().__init__(
            name="orchard", description="Pick what is ripe.", max_steps=40, timeout_seconds=120.0
        )
        self.basket = 0
        self.trees: Dict[str, Any] = {}

    async def initialize(self) -> bool:
        return True

    async def reset(self) -> Observation:
        self.basket = 0
        self.trees = {"apple": 3, "pear": 2}
        self.current_step = 0
        self.status = HarnessStatus.ACTIVE
        return Observation(
            content="Two trees.",
            content_type="text",
            available_actions=self.get_action_space(),
            metadata={"basket": self.basket},
            done=False,
        )

    async def step(self, action: str, **kwargs) -> ActionResult:
        if action != "pick":
            return ActionResult(
                success=False, observation=await self.get_observation(), error=f"No such action: {action}"
            )
        tree = kwargs.get("tree", "apple")
        gained = 1.5 if self.trees[tree] else -0.5
        self.trees[tree] = max(self.trees[tree] - 1, 0)
        self.basket += gained > 0
        self.current_step += 1
        over = not any(self.trees.values())
        if over:
            self.status = HarnessStatus.COMPLETED
        seen = Observation(
            content=f"{tree} picked.",
            content_type="text",
            available_actions=self.get_action_space(),
            metadata={"basket": self.basket},
            done=over,
            reward=gained,
        )
        return ActionResult(success=True, observation=seen, reward=gained)

    async def get_observation(self) -> Observation:
        return Observation(
            content=f"{self.basket} in the basket.",
            content_type="text",
            available_actions=self.get_action_space(),
            metadata={"basket": self.basket},
            done=self.is_done(),
        )

    def get_action_space(self) -> List[ActionDefinition]:
        tree = {"type": "string", "description": "Which one.", "enum": ["apple", "pear"]}
        return [ActionDefinition(name="pick", description="Pick one fruit", parameters={"tree": tree})]

    async def shutdown(self):
        pass


class Relay(BaseHarness):
    """Several take turns; it does not call the constructor of the base class."""

    def __init__(self, runners=3):
        self.runners = runners
        self.runner = 0

    async def reset(self) -> Observation:
        self.runner = 0
        return Observation(content="Ready.", available_actions=self.get_action_space())

    async def step(self, action: str, **kwargs):
        self.runner = (self.runner + 1) % self.runners
        seen = Observation(content=f"Runner {self.runner} has it.", done=self.runner == 0)
        return ActionResult(success=True, observation=seen, reward=1)

    def get_action_space(self) -> List[ActionDefinition]:
        return [ActionDefinition(name="pass_on", description="Hand it to the next one")]


async def test_an_environment_that_keeps_its_own_counts_works_as_it_is():
    """Who brings a class of another system would have to write it anew."""
    orchard = Orchard()
    assert await orchard.initialize()

    seen = await orchard.reset()
    assert (seen.content, seen.done, [each.name for each in seen.available_actions]) == (
        "Two trees.",
        False,
        ["pick"],
    )
    unknown = await orchard.step("shake")
    assert not unknown.success
    assert "no action 'shake'" in unknown.error
    rewards = []
    while not seen.done:
        result = await orchard.step("pick", tree="apple" if len(rewards) < 3 else "pear")
        seen = result.observation
        rewards.append(result.reward)
    assert rewards == [1.5] * 5
    stats = orchard.get_stats()
    assert (stats.total_steps, stats.total_reward, stats.success) == (5, 7.5, True)
    assert (await orchard.get_observation()).content == "5 in the basket."
    await orchard.shutdown()

    report = await check_harness(Orchard)
    assert (report.faults, report.skipped) == ((), ())


async def test_an_environment_without_the_constructor_of_its_base_works_as_it_is():
    """It would fail at an attribute that the base class makes, somewhere inside it."""
    relay = Relay(runners=2)
    await relay.initialize()
    seen = await relay.reset()
    while not seen.done:
        seen = (await relay.step("pass_on")).observation
    assert (await relay.get_observation()).content == seen.content
    assert (relay.name, relay.get_stats().total_steps) == ("Relay", 2)

    assert (await check_harness(Relay)).faults == ()


async def test_an_agent_plays_by_the_tool_of_an_environment():
    """A program that calls tools by their names would find other names, or other answers."""
    agent = AgentRuntime()
    agent.register_tool(HarnessAdapter(NumberGuessHarness()))
    tool = "harness_number_guess"

    begun = await agent.execute_tool(tool_name=tool, action="reset")
    assert "1 to 100" in str(begun.output)
    taken = await agent.execute_tool(tool_name=tool, action="step", action_name="guess", number=50)
    assert {"reward", "done"} <= set(taken.metadata)
    seen = await agent.execute_tool(tool_name=tool, action="observe")
    assert seen.success
    told = await agent.execute_tool(tool_name=tool, action="stats")
    assert "total_steps" in str(told.output)


@pytest.mark.parametrize("name", shiftwork.environments.__all__)
def test_each_name_of_an_environment_is_in_one_package(name):
    """Who brings a program from elsewhere would have to find out which module has each of its names."""
    assert getattr(shiftwork.environments, name).__name__ == name


@pytest.mark.parametrize(
    "name",
    [
        "ActionDefinition",
        "ActionResult",
        "AgentRuntime",
        "BaseHarness",
        "CodingChallengeHarness",
        "EpisodeStats",
        "HarnessAdapter",
        "HarnessStatus",
        "NumberGuessHarness",
        "Observation",
        "TextAdventureHarness",
        "check_harness",
    ],
)
def test_the_package_of_programs_has_each_name_too(name):
    """What else a program needs is in `client`; it would look for these names there in vain."""
    assert getattr(client, name).__name__ == name
    assert name in client.__all__


def test_another_name_is_told_as_missing():
    """A misspelt import would be told as something else than a misspelt import."""
    with pytest.raises(ImportError, match="HarnessAdaptor"):
        from shiftwork.environments import HarnessAdaptor  # noqa: F401 - what is tested
