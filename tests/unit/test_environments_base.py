"""The rules that `BaseHarness` holds every environment to, whatever its subclass does."""

import asyncio
import time

import pytest

from shiftwork.environments import (
    ActionDefinition,
    ActionResult,
    BaseHarness,
    EpisodeStats,
    HarnessStatus,
    Observation,
)
from shiftwork.errors import EnvironmentFailed, InvalidInput

AMOUNT = {"amount": {"type": "integer", "minimum": 0}}


class Counter(BaseHarness):
    """Adds up what it is given until ten; with ways to misbehave."""

    def __init__(self, **limits):
        super().__init__("counter", "Add up to ten.", **limits)
        self.total = 0
        self.said = []

    async def reset(self, seed=None):
        self.total = self.random.randint(0, 3)
        self.said = [self.total]
        return await self.get_observation()

    async def step(self, action, **parameters):
        self.total += parameters.get("amount", 1)
        self.said.append(self.total)
        await self.misbehave(action)
        seen = Observation(content=str(self.total), terminated=self.total >= 10)
        return ActionResult(observation=seen, reward=1.0)

    async def misbehave(self, action):
        if action == "raise":
            raise KeyError("nobody expected this")
        if action == "wait":
            await asyncio.sleep(60)
        if action == "block":
            time.sleep(0.3)  # noqa: ASYNC251 - what nobody should do
        if action == "exit":
            raise SystemExit(3)

    def get_action_space(self):
        return [
            ActionDefinition(name="add", parameters=AMOUNT),
            *(ActionDefinition(name=name) for name in ("raise", "wait", "block", "exit", "nothing", "no")),
        ]

    async def get_observation(self):
        return Observation(content=str(self.total), available_actions=self.get_action_space())


class Odd(Counter):
    """Its step answers what no step may."""

    async def step(self, action, **parameters):
        self.total += 100
        if action == "no":
            return ActionResult(
                success=False, observation=Observation(done=True), reward=5, error="that is not allowed"
            )
        return None


class Paying(Counter):
    """Pays what it is told to."""

    def __init__(self, **reward):
        super().__init__()
        self._reward = reward

    async def step(self, action, **parameters):
        del action, parameters
        self.total += 1
        seen = Observation(content=str(self.total), reward=self._reward.get("seen"))
        result = ActionResult(observation=seen)
        return result.model_copy(update={k: v for k, v in self._reward.items() if k != "seen"})


async def begun(environment, seed=1):
    await environment.initialize()
    await environment.reset(seed=seed)
    return environment


async def held(environment):
    """All that an agent and a scorer can see of an episode, but the actions refused."""
    seen = await environment.get_observation()
    stats = environment.get_stats().model_dump(exclude={"refused_actions", "duration_seconds"})
    return seen.model_dump(exclude={"reward"}), stats, environment.status, environment.current_step


@pytest.mark.parametrize(
    ("kind", "action", "parameters", "why"),
    [
        (Counter, "jump", {}, "there is no action 'jump' now; there is: 'add', 'raise'"),
        (Counter, "add", {}, "action 'add': 'amount' is a required property"),
        (Counter, "add", {"amount": "3"}, "parameter 'amount' of action 'add': '3' is not of type 'integer'"),
        (Counter, "add", {"amount": True}, "True is not of type 'integer'"),
        (Counter, "add", {"amount": -1}, "-1 is less than the minimum of 0"),
        (Counter, "add", {"amount": 1, "many": 2}, "'many' was unexpected"),
        (Counter, "add", {"amount": float("nan")}, "are no JSON values"),
        (Counter, "add", {"amount": object()}, "are no JSON values"),
        (Counter, "raise", {}, "failed inside environment 'counter': KeyError: 'nobody expected this'"),
        (Counter, "exit", {}, "SystemExit: 3"),
        (Counter, "wait", {}, "action 'wait' of 'counter' took too long"),
        (Counter, "block", {}, "action 'block' of 'counter' took too long"),
        (Odd, "nothing", {}, "step returned NoneType, not ActionResult"),
        (Odd, "no", {}, "that is not allowed"),
    ],
)
async def test_an_action_that_is_not_taken_says_why_and_leaves_the_episode_as_it_was(
    kind, action, parameters, why
):
    """A mistake of an agent, or of an environment, would change the score or end the game."""
    environment = kind(step_timeout_seconds=0.2)
    await begun(environment)
    if kind is Counter:
        assert (await environment.step("add", amount=1)).success
    before, total, said = await held(environment), environment.total, list(environment.said)
    result = await environment.step(action, **parameters)
    assert not result.success
    assert why in result.error
    assert result.reward == 0
    assert [await held(environment), environment.total, environment.said] == [before, total, said]
    assert environment.get_stats().refused_actions == 1


@pytest.mark.parametrize(
    ("reward", "told"),
    [
        ({"reward": 1e101}, "1e+101"),
        ({"reward": -1e308}, "-1e+308"),
        ({"rewards": {"black": 1.0, "white": 1e200}}, "1e+200"),
        ({"seen": 1e150}, "1e+150"),
    ],
    ids=["large", "small", "of-an-agent", "observed"],
)
async def test_a_reward_that_no_sum_can_hold_is_a_fault_of_its_environment(reward, told):
    """A few such rewards would break every list that the episode is in."""
    environment = await begun(Paying(**reward))
    before = await held(environment)
    result = await environment.step("add", amount=1)
    why = f"a reward of {told} was paid; pay numbers from -1e+100 to 1e+100"
    assert result.error == f"action 'add' failed inside environment 'counter': ValueError: {why}"
    assert await held(environment) == before


async def test_a_large_reward_is_paid():
    """An environment that counts in large numbers could not be played."""
    environment = await begun(Paying(reward=-1e100))
    assert (await environment.step("add", amount=1)).success
    assert environment.get_stats().total_reward == -1e100


async def test_nothing_is_stepped_before_reset_nor_after_the_end():
    """A step outside an episode would be scored with another one."""
    environment = Counter()
    early = await environment.step("add", amount=1)
    await begun(environment)
    last = await environment.step("add", amount=10)
    late = await environment.step("add", amount=1)
    assert [early.success, last.success, late.success] == [False, True, False]
    assert "call reset first" in early.error
    assert "terminated after 1 steps; call reset to begin another" in late.error
    assert environment.status is HarnessStatus.COMPLETED
    assert environment.is_done()
    assert environment.get_stats().success
    await environment.shutdown()
    assert "was shut down" in (await environment.step("add", amount=1)).error
    with pytest.raises(EnvironmentFailed, match="was shut down"):
        await environment.reset()


async def test_an_episode_is_cut_short_at_its_last_step():
    """An agent that never gets there would play for ever; and cut short is not the same as lost."""
    environment = await begun(Counter(max_steps=2))
    results = [await environment.step("add", amount=0) for _ in range(3)]
    assert [r.success for r in results] == [True, True, False]
    assert [r.observation.truncated for r in results] == [False, True, True]
    assert not results[1].observation.terminated
    assert not environment.get_stats().success


async def test_an_end_at_the_last_step_is_an_end():
    """A game that was won with its last move would count as cut short."""
    environment = await begun(Counter(max_steps=1))
    seen = (await environment.step("add", amount=10)).observation
    assert [seen.terminated, seen.truncated, seen.done] == [True, False, True]


@pytest.mark.parametrize("action", ["wait", "block"])
async def test_an_episode_is_cut_short_when_its_time_is_up(action):
    """An environment that waits for ever would hold an agent, and a worker, for ever."""
    environment = await begun(Counter(timeout_seconds=0.2))
    result = await environment.step(action)
    assert [result.success, result.observation.truncated] == [False, True]
    assert environment.get_stats().total_steps == 0
    later = await environment.step("add", amount=1)
    assert "was cut short after 0 steps" in later.error


async def test_time_goes_by_between_steps_too():
    """An agent that thinks for ever would never be cut short."""
    environment = await begun(Counter(timeout_seconds=0.1))
    await asyncio.sleep(0.15)
    result = await environment.step("add", amount=1)
    assert [result.success, result.done] == [False, True]


async def test_steps_are_counted_whatever_a_subclass_does():
    """A subclass that forgets to count, or counts twice, would never end, or end too early."""

    class Forgetful(Counter):
        async def step(self, action, **parameters):
            self.current_step += 7
            return await super().step(action, **parameters)

        def get_stats(self):
            return EpisodeStats(total_steps=99, total_reward=99, success=True)

    environment = await begun(Forgetful())
    for _ in range(3):
        await environment.step("add", amount=1)
    stats = environment.get_stats()
    assert (environment.current_step, stats.total_steps, stats.total_reward) == (3, 3, 3.0)
    assert stats.success


async def test_a_seed_makes_the_same_episode_and_a_drawn_one_is_told():
    """A result could not be repeated."""
    environment = Counter()
    first = [(await environment.reset(seed=7)).content for _ in range(3)]
    assert len(set(first)) == 1
    drawn = await environment.reset()
    stats = environment.get_stats()
    assert stats.reproducible
    assert (await environment.reset(seed=stats.seed)).content == drawn.content
    assert environment.get_stats().episode == 5


async def test_an_environment_that_uses_no_seed_is_marked():
    """Somebody would trust that its episodes can be repeated."""

    class Seedless(Counter):
        async def reset(self):
            self.total = 0
            return await self.get_observation()

    environment = Seedless()
    await environment.reset(seed=5)
    assert [environment.get_stats().seed, environment.get_stats().reproducible] == [5, False]


@pytest.mark.parametrize("seed", [-1, 1.5, True, "3"])
async def test_a_seed_is_an_integer_of_at_least_zero(seed):
    """Environments would each do something else with it."""
    environment = await begun(Counter())
    before = await held(environment)
    with pytest.raises(InvalidInput, match="integer of at least 0"):
        await environment.reset(seed=seed)
    assert await held(environment) == before


async def test_an_environment_that_can_not_get_ready_is_not_played():
    """Its first observation would be of something that is not there."""

    class Unready(Counter):
        async def initialize(self):
            return False

    environment = Unready()
    assert await environment.initialize() is False
    with pytest.raises(EnvironmentFailed, match=r"'counter' could not be initialised: .* returned False"):
        await environment.reset()
    assert environment.status is HarnessStatus.ERROR


async def test_an_episode_that_can_not_begin_leaves_the_one_before():
    """A failure of a level generator would lose the game that goes on."""

    class Fragile(Counter):
        async def reset(self, seed=None):
            seen = await super().reset(seed)
            if seed == 13:
                raise RuntimeError("no level found")
            return seen

    environment = await begun(Fragile())
    await environment.step("add", amount=2)
    before, total = await held(environment), environment.total
    with pytest.raises(EnvironmentFailed, match="could not begin an episode: RuntimeError: no level found"):
        await environment.reset(seed=13)
    assert (await held(environment), environment.total) == (before, total)


async def test_what_can_not_be_put_back_is_made_again_from_the_seed():
    """A failed step of an environment that holds a generator or a socket would leave half a move behind."""

    class Holding(Counter):
        def __init__(self):
            super().__init__()
            self.turns = (turn for turn in (1, 2))

    environment = await begun(Holding())
    await environment.step("add", amount=2)
    total = environment.total
    result = await environment.step("raise")
    assert "KeyError" in result.error
    assert (environment.total, environment.current_step, environment.status) == (
        total,
        1,
        HarnessStatus.ACTIVE,
    )
    assert (await environment.step("add", amount=1)).success


async def test_what_can_be_neither_put_back_nor_made_again_is_called_broken():
    """The episode would go on with half a move in it."""

    class Lost(Counter):
        def __init__(self):
            super().__init__()
            self.turns = (turn for turn in (1, 2))

        async def reset(self):
            self.total = 0
            return await self.get_observation()

    environment = await begun(Lost())
    broken = await environment.step("raise")
    assert environment.status is HarnessStatus.ERROR
    assert broken.error.endswith(
        "nobody expected this'; it could not be undone, and the environment is broken until the next reset"
    )
    assert "could not be undone; call reset" in (await environment.step("add", amount=1)).error
    await environment.reset()
    assert (await environment.step("add", amount=1)).success


async def test_a_step_that_is_cancelled_is_undone():
    """Whoever plays, and is interrupted, would come back to half a move."""
    environment = await begun(Counter())
    total = environment.total
    step = asyncio.create_task(environment.step("wait"))
    await asyncio.sleep(0.05)
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    assert (environment.total, environment.get_stats().total_steps) == (total, 0)


async def test_steps_at_the_same_time_are_taken_one_after_the_other():
    """Two steps could each put back what the other did."""
    environment = await begun(Counter())
    start = environment.total
    results = await asyncio.gather(*(environment.step("add", amount=1) for _ in range(3)))
    assert [r.success for r in results] == [True] * 3
    assert environment.total == start + 3


async def test_a_subclass_that_does_not_call_the_base_is_held_to_the_rules_too():
    """The guide's own example of several agents does not."""

    class Bare(Counter):
        def __init__(self):
            self.total = 0
            self.said = []

    environment = await begun(Bare())
    assert (await environment.step("add", amount=1)).success
    assert environment.name == "Bare"


async def test_rewards_of_several_agents_are_added_up():
    """A game of two would be scored for one of them."""

    class Two(Counter):
        agents = ("one", "two")

        async def step(self, action, **parameters):
            return ActionResult(observation=Observation(), reward=1, rewards={"one": 1, "two": -1})

    environment = await begun(Two())
    for _ in range(2):
        await environment.step("add", amount=1)
    assert environment.get_stats().rewards == {"one": 2, "two": -2}


@pytest.mark.parametrize("limit", ["max_steps", "timeout_seconds", "step_timeout_seconds"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), True, "5"])
def test_limits_are_above_zero(limit, value):
    """An episode would be over before it began."""
    with pytest.raises(InvalidInput, match=f"{limit} of environment 'counter' is"):
        Counter(**{limit: value})


def test_steps_are_whole():
    """An episode of two and a half steps would be cut short after three."""
    with pytest.raises(InvalidInput, match=r"max_steps of environment 'counter' is 2\.5; give an integer"):
        Counter(max_steps=2.5)


def test_an_observation_agrees_with_itself():
    """Somebody would read `done` and somebody `terminated`, and they would differ."""
    assert Observation(done=True).terminated
    assert Observation(truncated=True).done
    assert not Observation(done=True, truncated=True).terminated
    assert Observation(content=b"\x89PNG", content_type="image").content == "iVBORw=="
    with pytest.raises(ValueError, match="give text, or content_type 'json'"):
        Observation(content={"a": 1})
    with pytest.raises(ValueError, match="finite"):
        ActionResult(observation=Observation(), reward=float("nan"))


async def test_what_a_player_changes_deep_in_an_answer_is_its_own():
    """A player would allow itself what no action takes, in every instance of the class."""

    class Lends(Counter):
        SCHEMA = {"amount": {"type": "integer", "enum": [1, 3]}}
        told = {"deep": [1]}

        async def reset(self, seed=None):
            return self.lent()

        async def step(self, action, **parameters):
            return ActionResult(observation=self.lent(), metadata=self.told)

        async def get_observation(self):
            return self.lent()

        def lent(self):
            return Observation(
                content=self.told,
                content_type="json",
                metadata=self.told,
                available_actions=self.get_action_space(),
            )

        def get_action_space(self):
            return [ActionDefinition(name="add", parameters=self.SCHEMA)]

    lends = Lends()
    first = await lends.reset()
    taken = await lends.step("add", amount=1)
    refused = await lends.step("add", amount=2)
    for seen in (first, taken.observation, refused.observation, await lends.get_observation()):
        seen.available_actions[0].parameters["amount"]["enum"].append(2)
        seen.content["deep"].append(2)
        seen.metadata["deep"].append(2)
    taken.metadata["deep"].append(2)

    assert (Lends.SCHEMA["amount"]["enum"], Lends.told) == ([1, 3], {"deep": [1]})
    assert "is not one of [1, 3]" in (await lends.step("add", amount=2)).error


@pytest.mark.parametrize(
    "told", [float("nan"), float("-inf"), {"deep": [float("inf")]}, "\udcff", {"\ud800": 1}]
)
@pytest.mark.parametrize("where", ["content", "metadata", "of the result"])
async def test_what_json_does_not_know_is_an_error_of_the_step(told, where):
    """It would be printed as NaN, which no other program reads, or could not be stored at all."""

    class Tells(Counter):
        shown = None

        async def step(self, action, **parameters):
            result = await super().step(action, **parameters)
            if self.shown is None:
                return result
            if where == "of the result":
                result.metadata["told"] = self.shown
            elif where == "metadata":
                result.observation.metadata["told"] = self.shown
            else:
                result.observation.content_type, result.observation.content = "json", self.shown
            return result

    tells = await begun(Tells())
    tells.shown = told
    failed = await tells.step("add", amount=1)
    assert "no encoding knows" in failed.error or "JSON does not know" in failed.error
    tells.shown = None
    assert (await tells.step("add", amount=1)).success
    assert "no JSON values" in (await tells.step("add", amount=1, note="\udcff")).error


async def test_what_a_player_changes_in_an_observation_is_its_own():
    """A player could otherwise make actions available that are not, by its copy of the list."""
    counter = await begun(Counter())
    shown = await counter.step("add", amount=1)
    refused = await counter.step("fly")

    for seen in (shown.observation, refused.observation):
        seen.available_actions[:] = [ActionDefinition(name="fly")]
        seen.metadata["mine"] = True

    assert "there is no action 'fly'" in (await counter.step("fly")).error
    assert (await counter.step("add", amount=1)).success
    assert (await BaseHarness.get_observation(counter)).metadata == {}
