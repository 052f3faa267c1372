"""What environments are asked beside their steps, by whom, and for how long."""

import asyncio
import itertools
import time

import pytest

from shiftwork.environments import ActionDefinition, ActionResult, HarnessStatus, Observation
from shiftwork.environments.play_state import play_of
from shiftwork.errors import EnvironmentFailed
from tests.unit.walking import Walk


class Looks(Walk):
    """Who looks at it changes it first, and then sees something or not."""

    looks = 0
    failing = ""

    async def get_observation(self):
        self.looks += 1
        match self.failing:
            case "raises":
                raise OSError("no light")
            case "hangs":
                await asyncio.sleep(9)
            case "nothing":
                return None
            case "nan":
                return Observation(content=float("nan"), content_type="json")
        return self.seen()


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize(
    ("failing", "why"),
    [
        ("raises", "OSError: no light"),
        ("hangs", "it took too long"),
        ("nothing", "TypeError: get_observation returned NoneType, not Observation"),
        ("nan", "ValueError: a number of it is nan"),
    ],
)
@pytest.mark.parametrize("limit", ["timeout_seconds", "step_timeout_seconds"])
async def test_looking_that_fails_is_told_and_changes_nothing(limit, failing, why, begun):
    """A player that looks would wait for ever, keep everybody else waiting, or change what it looks at."""
    environment = Looks(**{limit: 0.2})
    if begun:
        await environment.reset()
    environment.failing = failing
    with pytest.raises(EnvironmentFailed, match=rf"^what environment 'walk' shows now .* out: {why}"):
        async with asyncio.timeout(100):
            await environment.get_observation()
    assert environment.looks == 0
    environment.failing = ""
    if not begun:
        assert environment.status is HarnessStatus.IDLE
        await environment.reset()
    assert (await environment.get_observation()).content == "at 0"


async def test_the_end_of_an_episode_can_be_looked_at():
    """Who looks after the time of an episode is over would be told that looking took too long."""
    environment = Looks(timeout_seconds=0.05)
    await environment.reset()
    await asyncio.sleep(0.06)
    seen = await environment.get_observation()
    assert (seen.content, seen.truncated) == ("at 0", True)


class Chance(Walk):
    """What may be done is drawn each time that it is asked."""

    asked = 0
    wrong = 0

    async def step(self, action, by=1):
        self.place += 1
        return ActionResult(observation=Observation(content=f"{self.random.random()} {self.asked}"))

    def get_action_space(self):
        self.asked += 1
        if self.asked == self.wrong:
            raise OSError("no list")
        names = ["go", "rest"]
        self.random.shuffle(names)
        return [ActionDefinition(name=name) for name in names]


async def steps(environment, *actions):
    await environment.reset(seed=3)
    return [await environment.step(action) for action in actions]


@pytest.mark.parametrize("wrong", [0, 2], ids=["wrong action", "wrong list"])
async def test_asking_what_may_be_done_for_an_action_that_is_not_taken_changes_nothing(wrong):
    """An agent that errs would play another episode than one that does not."""
    environment = Chance()
    environment.wrong = wrong
    _, failed, _ = played = await steps(environment, "go", "fly", "go")
    environment.wrong = 0
    played.append(await environment.step("go"))
    taken = [each.observation.content for each in played if each.success]
    expected = [each.observation.content for each in await steps(Chance(), *["go"] * 3)]
    if wrong:
        assert "failed inside environment 'walk': OSError: no list" in failed.error
    else:
        assert "there is no action 'fly' now" in failed.error
    assert taken == expected[: len(taken)]
    assert len(taken) == (2 if wrong else 3)


async def test_a_wrong_action_does_not_break_what_can_not_be_put_back():
    """One mistake of a player would end an episode to which nothing happened."""

    class Held(Walk):
        async def reset(self):
            self.ways = iter(range(9))
            return self.seen()

    environment = Held()
    await environment.reset()
    assert "there is no action 'fly'" in (await environment.step("fly")).error
    assert (await environment.step("go")).success


class Clocked(Walk):
    """A step takes ten seconds of its clock, and it can only be made again."""

    def __init__(self, **limits):
        super().__init__(**limits)
        self.counted = itertools.count()
        Clocked.clock = 0.0

    async def step(self, action, by=1):
        Clocked.clock += 10
        if by == 7:
            raise OSError("the line is down")
        return await super().step(action)


async def test_the_time_of_an_undo_is_not_the_episodes():
    """A failed action would cost a player as much time again as it had played for."""
    environment = Clocked(timeout_seconds=85)
    await environment.reset(seed=1)
    episode = play_of(environment).episode
    episode.now, episode.began = lambda: Clocked.clock, 0.0
    for by in (1, 1, 1, 7, 7):
        await environment.step("go", by=by)
    assert Clocked.clock == 110
    assert environment.get_stats().duration_seconds == 50
    assert [(await environment.step("go")).observation.truncated for _ in range(4)] == [
        *[False] * 3,
        True,
    ]


async def test_an_episode_does_not_end_by_the_clock_while_a_step_of_it_is_undone():
    """Whoever asks meanwhile whether it is over would end it."""

    class Asked(Clocked):
        async def step(self, action, by=1):
            result = await super().step(action, by)
            over.append(environment.is_done())
            return result

    over, environment = [], Asked(timeout_seconds=45)
    await environment.reset(seed=1)
    episode = play_of(environment).episode
    episode.now, episode.began = lambda: Clocked.clock, 0.0
    for by in (1, 1, 7):
        await environment.step("go", by=by)
    assert (Clocked.clock, over) == (50, [False] * 4)
    assert environment.get_stats().duration_seconds == 30


async def test_the_time_of_noting_what_an_environment_holds_is_not_the_episodes():
    """A large world would have fewer steps in its time than a small one in which the same is done."""

    class Large(Walk):
        def __init__(self):
            super().__init__()
            self.world = [[number] for number in range(30_000)]

    environment = Large()
    await environment.reset()
    began = time.monotonic()
    for _ in range(3):
        await environment.step("go")
    lasted = time.monotonic() - began
    assert environment.get_stats().duration_seconds < lasted / 2


@pytest.mark.parametrize(
    ("attribute", "why"),
    [
        ("max_steps", "TypeError: max_steps is of type str now; leave it a number, or None"),
        ("timeout_seconds", "TypeError: timeout_seconds is of type str now"),
        ("random", "AttributeError: 'Takes' object has no attribute 'random'"),
    ],
)
async def test_what_an_environment_takes_from_its_base_class_is_a_failure_of_its_step(attribute, why):
    """A step would be counted that has no result, and whoever plays gets an exception."""

    class Takes(Walk):
        async def step(self, action, by=1):
            result = await super().step(action)
            if by == 2 and attribute == "random":
                del self.random
            elif by == 2:
                setattr(self, attribute, "5")
            return result

    environment = Takes()
    await environment.reset(seed=1)
    failed = await environment.step("go", by=2)
    assert f"action 'go' failed inside environment 'walk': {why}" in failed.error
    assert (environment.place, environment.get_stats().total_steps, environment.status) == (
        0,
        0,
        HarnessStatus.ACTIVE,
    )
    assert (await environment.step("go")).observation.content == "at 1"


@pytest.mark.parametrize("failing", ["step", "reset"])
async def test_an_environment_may_not_end_who_asks_as_if_it_were_dropped(failing):
    """One raise of its own would end the program that plays it."""

    class Drops(Walk):
        async def reset(self, *, drop=False):
            self.place = 0
            if drop:
                raise GeneratorExit
            return self.seen()

        async def step(self, action, by=1):
            await super().step(action)
            raise GeneratorExit

    environment = Drops()
    await environment.reset()
    if failing == "step":
        assert "RuntimeError: it raised GeneratorExit" in (await environment.step("go")).error
    else:
        with pytest.raises(EnvironmentFailed, match="it raised GeneratorExit"):
            await environment.reset(drop=True)
    assert (environment.place, environment.status) == (0, HarnessStatus.ACTIVE)


async def test_a_step_that_is_dropped_is_undone_and_asks_for_nothing_more():
    """An event loop that ends would complain, and the next one would go on in half a step."""

    class Waits(Walk):
        async def step(self, action, by=1):
            self.place += 1
            await asyncio.sleep(9)

    environment = Waits()
    await environment.reset()
    dropped = environment.step("go")
    for _ in range(2):  # its turn comes, and then it waits
        dropped.send(None)
        await asyncio.sleep(0.01)
    assert environment.place == 1
    await asyncio.to_thread(dropped.close)
    assert (environment.place, environment.status) == (0, HarnessStatus.ACTIVE)


class Unspeakable:
    def __repr__(self):
        raise OSError("no words")


class Spoken(str):
    __slots__ = ()
    __repr__ = Unspeakable.__repr__
    __str__ = Unspeakable.__repr__


@pytest.mark.parametrize(
    ("action", "why"),
    [
        (Unspeakable(), "give step the name of one action, a text"),
        (7, "give step the name of one action, a text"),
        (Spoken("fly"), "there is no action 'fly' now; there is: 'go'"),
    ],
    ids=["object", "number", "text"],
)
async def test_an_action_that_can_not_be_told_is_refused(action, why):
    """A player would get an exception out of the environment, of its own making."""
    environment = Walk()
    await environment.reset()
    refused = await environment.step(action)
    assert why in refused.error
    assert (await environment.step(Spoken("go"))).success
    assert play_of(environment).episode.faults == 0
    assert "no JSON values" in (await environment.step("go", by=Unspeakable())).error
