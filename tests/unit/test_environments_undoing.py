"""How `BaseHarness` puts environments back that are hard to put back."""

import asyncio
import time

import pytest

from shiftwork.environments import ActionDefinition, ActionResult, HarnessStatus, NeverChanges, Observation
from shiftwork.errors import EnvironmentFailed
from tests.unit.walking import Walk


class Line(NeverChanges):
    """To somewhere else: what becomes of it is no state of an environment."""

    pause = 0.0
    fails = False


class Uncopyable(Walk):
    """It waits in each step, and can only be made again."""

    def __init__(self, **limits):
        super().__init__(**limits)
        self.held = (each for each in ())
        self.line = Line()

    async def step(self, action, by=1):
        await asyncio.sleep(self.line.pause)
        result = await super().step(action, by)
        if self.line.fails:
            self.line.fails = False
            raise OSError("the line is down")
        return result


async def test_an_environment_that_refers_back_to_itself_is_put_back_whole():
    """After one refused action, a table of bound methods would change another environment than this."""

    class Table(Walk):
        def __init__(self):
            super().__init__()
            self.ways = {"go": self.walk, "rest": self.rest}

        def walk(self, by):
            self.place += by

        def rest(self, by):
            raise OSError("no bed")

        async def step(self, action, by=1):
            self.ways[action](by)
            return ActionResult(observation=self.seen())

        def get_action_space(self):
            return [ActionDefinition(name=name) for name in self.ways]

    table = Table()
    await table.reset()
    assert not (await table.step("rest")).success
    assert (await table.step("go")).observation.content == "at 1"
    assert table.ways["go"].__self__ is table


async def test_an_environment_within_another_is_copied_with_it():
    """One that wraps another could only be put back by playing the episode again."""

    class Wrapper(Walk):
        def __init__(self):
            super().__init__()
            self.inner = Walk()

        async def reset(self):  # without a seed: only a copy puts it back
            return await self.inner.reset()

        async def step(self, action, by=1):
            result = await self.inner.step(action, by=by)
            if by > 5:
                raise OSError("too far")
            return result

    wrapper = Wrapper()
    await wrapper.reset()
    await wrapper.step("go")
    assert not (await wrapper.step("go", by=6)).success
    assert (await wrapper.step("go")).observation.content == "at 2"
    assert wrapper.inner.get_stats().total_steps == 2


async def test_an_episode_is_made_again_with_the_options_it_began_with():
    """A failed step would move the episode to a world that was made otherwise."""

    class Optional(Uncopyable):
        async def reset(self, seed=None, start=None):
            self.place = (start or [0]).pop()
            return self.seen()

    environment = Optional()
    await environment.reset(start=[40])
    await environment.step("go")
    environment.line.fails = True
    assert not (await environment.step("go")).success
    assert (environment.place, environment.status) == (41, HarnessStatus.ACTIVE)


async def test_parameters_that_a_step_changes_are_taken_again_as_they_were():
    """An episode that is made again would take other actions than the player did."""

    class Eats(Uncopyable):
        async def step(self, action, ways):
            self.place += sum(ways)
            ways.clear()
            if self.place > 9:
                raise OSError("too far")
            return ActionResult(observation=self.seen())

        def get_action_space(self):
            return [ActionDefinition(name="go", parameters={"ways": {"type": "array"}})]

    environment = Eats()
    await environment.reset()
    await environment.step("go", ways=[1, 2])
    assert not (await environment.step("go", ways=[7])).success
    assert (environment.place, environment.status) == (3, HarnessStatus.ACTIVE)


async def test_one_that_does_not_come_to_the_same_again_is_called_broken():
    """A player would go on in another world than the one it was shown."""

    class Drifts(Uncopyable):
        resets = 0

        async def reset(self, seed=None):
            Drifts.resets += 1
            self.place = Drifts.resets
            return self.seen()

    environment = Drifts()
    await environment.reset()
    environment.line.fails = True
    await environment.step("go")
    assert environment.status is HarnessStatus.ERROR


async def test_one_that_hangs_while_it_is_made_again_is_called_broken():
    """A game without a limit of time would hang for ever after one failed action."""
    environment = Uncopyable()
    environment.undo_seconds = 1.5
    await environment.reset()
    assert (await environment.step("go")).success

    environment.line.fails = True
    assert not (await environment.step("go")).success
    assert environment.status is HarnessStatus.ACTIVE  # there was time for it

    class Hangs(Uncopyable):
        async def reset(self, seed=None):
            if self.place:
                await asyncio.Event().wait()
            return await super().reset(seed=seed)

    environment = Hangs()
    environment.undo_seconds = 0.1
    await environment.reset()
    assert (await environment.step("go")).success
    environment.line.fails = True
    async with asyncio.timeout(50):  # less than it has by default
        failed = await environment.step("go")
    assert "the line is down" in failed.error
    assert environment.status is HarnessStatus.ERROR
    assert "call reset" in (await environment.step("go")).error


async def test_one_that_tells_what_the_base_class_counts_is_made_again():
    """An honest game that shows how many turns are left would be called broken at its first failed action."""

    class Tells(Uncopyable):
        def seen(self):
            return Observation(content=f"{self.current_step} taken, at {self.place}")

    environment = Tells()
    await environment.reset()
    for _ in range(3):
        await environment.step("go")
    environment.line.fails = True
    assert "the line is down" in (await environment.step("go")).error
    assert environment.status is HarnessStatus.ACTIVE
    assert (await environment.step("go")).observation.content == "3 taken, at 4"


@pytest.mark.parametrize("differs", ["metadata", "available_actions", "reward", "rewards", "terminated"])
async def test_one_that_comes_to_something_else_beside_its_content_is_called_broken(differs):
    """A player would go on in another world that only reads like the one it was shown."""

    class Drifts(Uncopyable):
        worlds = 0

        async def reset(self, seed=None):
            self.worlds += 1
            return await super().reset()

        async def step(self, action, by=1):
            result = await super().step(action, by)
            again = self.worlds > 1
            shown = {
                "metadata": {"world": self.worlds},
                "available_actions": self.get_action_space() * self.worlds,
                "terminated": again,
            }
            earned = {"reward": float(self.worlds), "rewards": {"walk": float(self.worlds)}}
            observation = result.observation.model_copy(
                update={k: v for k, v in shown.items() if k == differs}
            )
            changed = {k: v for k, v in earned.items() if k == differs}
            return result.model_copy(update={"observation": observation, **changed})

    environment = Drifts()
    await environment.reset()
    assert (await environment.step("go")).success
    environment.line.fails = True
    assert not (await environment.step("go")).success
    assert environment.status is HarnessStatus.ERROR


@pytest.mark.parametrize("steps", [3, 4])
async def test_a_reset_that_fails_leaves_an_episode_that_can_not_be_copied(steps):
    """A wrong option would wreck the game that goes on, or open one that is over."""

    class Sized(Uncopyable):
        async def reset(self, seed=None, size=1):
            self.place = 0
            if size < 1:
                raise ValueError("size has to be positive")
            return self.seen()

    environment = Sized(max_steps=4)
    await environment.reset()
    for _ in range(steps):
        await environment.step("go")
    status = environment.status
    with pytest.raises(EnvironmentFailed, match="size has to be positive"):
        await environment.reset(size=0)
    assert (environment.place, environment.current_step, environment.status) == (steps, steps, status)
    assert (await environment.step("go")).success is (steps < 4)


async def test_a_failed_reset_of_what_can_not_be_made_again_is_called_broken():
    """Steps would be taken in what the failed reset left."""

    class Lost(Uncopyable):
        async def reset(self, size=1):
            self.place = 0
            if size < 1:
                raise ValueError("size has to be positive")
            return self.seen()

    environment = Lost()
    await environment.reset()
    await environment.step("go")
    with pytest.raises(EnvironmentFailed, match=r"positive; it could not be undone, and the .* is broken"):
        await environment.reset(size=0)
    assert "call reset" in (await environment.step("go")).error
    await environment.reset()
    assert (await environment.step("go")).success


async def test_an_undo_that_is_cancelled_leaves_no_episode_that_seems_to_go_on():
    """Half of the episode would be missing, and the next step would be scored as if it were not."""
    environment = Uncopyable()
    await environment.reset()
    for _ in range(5):
        await environment.step("go")
    environment.line.pause = 0.05
    step = asyncio.create_task(environment.step("go"))
    for _ in range(2):
        await asyncio.sleep(0.03)
        step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    assert environment.status is HarnessStatus.ERROR
    assert "could not be undone" in (await environment.step("go")).error


@pytest.mark.parametrize("told", [True, False])
async def test_a_set_that_changed_in_between_is_made_again_or_else_has_its_elements(told):
    """What a set pops next tells what was in it: an episode would go on otherwise than without a failure."""

    class Pops(Walk):
        worlds = 0

        async def reset(self, seed=None):
            self.worlds += told
            self.free = set(range(5))
            return await super().reset()

        async def step(self, action, by=1):
            self.place = self.free.pop()
            if by > 5:
                raise OSError("too far")
            shown = {"world": self.worlds} if told else {}
            return ActionResult(observation=Observation(content=str(self.place), metadata=shown))

    environment, untouched = Pops(), Pops()
    for each in (environment, untouched):
        await each.reset(seed=1)
        await each.step("go")
    assert not (await environment.step("go", by=6)).success
    assert environment.status is HarnessStatus.ACTIVE
    assert environment.free == untouched.free
    if not told:
        assert (await environment.step("go")).observation == (await untouched.step("go")).observation


async def test_an_undo_takes_no_longer_than_an_episode_may():
    """A line that went down would keep a player waiting for ever in what was to take a second."""
    environment = Uncopyable(timeout_seconds=0.3)
    await environment.reset()
    for _ in range(3):
        await environment.step("go")
    environment.line.pause, environment.step_timeout_seconds = 200, 0.05
    began = time.monotonic()
    assert "took too long" in (await environment.step("go")).error
    assert time.monotonic() - began < 150
    assert environment.status is HarnessStatus.ERROR


async def test_drawing_from_the_seeded_generator_makes_an_episode_reproducible():
    """A failed step of an environment that keeps to the guide would end its episode."""

    class Draws(Uncopyable):
        async def reset(self):
            self.place = self.random.randrange(100)
            return self.seen()

    class DrawsLater(Uncopyable):
        async def reset(self):
            return await super().reset()

        async def step(self, action, by=1):
            return await super().step(action, self.random.randrange(9))

    found = []
    for kind in (Draws, DrawsLater):
        environment = kind()
        await environment.reset(seed=5)
        await environment.step("go")
        place, environment.line.fails = environment.place, True
        await environment.step("go")
        found.append((environment.get_stats().reproducible, environment.place == place, environment.status))
    assert found == [(True, True, HarnessStatus.ACTIVE)] * 2
