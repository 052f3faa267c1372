"""What `BaseHarness` does about environments that are put together in other ways, or fail in other ways."""

import asyncio
import time

import pytest

from shiftwork.environments import (
    ActionDefinition,
    ActionResult,
    BaseHarness,
    HarnessStatus,
    Observation,
)
from shiftwork.environments.adapter import HarnessAdapter
from shiftwork.errors import EnvironmentFailed
from tests.unit.walking import Walk


def test_an_environment_may_be_used_in_one_event_loop_after_another():
    """Whoever waited once would bind it to a loop that is gone."""

    class Waits(Walk):
        async def step(self, action, by=1):
            await asyncio.sleep(0.01)
            return await super().step(action, by)

    environment = Waits()

    async def several():
        await environment.reset()
        return await asyncio.gather(*(environment.step("go") for _ in range(3)))

    for _ in range(2):
        assert all(result.success for result in asyncio.run(several()))


class NoSpace(Walk):
    def get_action_space(self):
        raise OSError("no list")


class NoSuchReference(Walk):
    def get_action_space(self):
        return [ActionDefinition(name="go", parameters={"by": {"$ref": "#/nowhere"}})]


class WithoutEnd(Walk):
    def get_action_space(self):
        return [ActionDefinition(name="go", parameters={"type": "object", "$ref": "#"})]


class BadPattern(Walk):
    def get_action_space(self):
        return [ActionDefinition(name="go", parameters={"by": {"type": "string", "pattern": "["}})]


def changed_later(**changes):
    class Changes(Walk):
        async def step(self, action, by=1):
            result = await super().step(action, by)
            for name, value in changes.items():
                setattr(result, name, value)
            return result

    return Changes


class Metadata(Walk):
    async def step(self, action, by=1):
        result = await super().step(action, by)
        result.observation.metadata["when"] = object()
        return result


def raises(error):
    class Raises(Walk):
        async def step(self, action, by=1):
            self.place += by
            raise error

    return Raises


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        pytest.param(NoSpace, "failed inside environment 'walk': OSError: no list", id="no-space"),
        pytest.param(NoSuchReference, "refers to '#/nowhere', which is not there", id="reference"),
        pytest.param(WithoutEnd, "its definition refers to itself without end", id="recursion"),
        pytest.param(BadPattern, "is no JSON schema: '[' is not a 'regex'", id="pattern"),
        pytest.param(changed_later(reward="ten"), "ActionResult.reward is 'ten': Input should", id="text"),
        pytest.param(changed_later(reward=float("nan")), "should be a finite number", id="nan"),
        pytest.param(changed_later(rewards={"ann": float("inf")}), "ActionResult.rewards.ann", id="inf"),
        pytest.param(changed_later(observation=None), "Observation: Input should be a valid", id="nothing"),
        pytest.param(Metadata, "Observation.metadata.when: input was not", id="no-json"),
        pytest.param(raises(asyncio.CancelledError("mine")), "CancelledError: mine", id="cancelled"),
        pytest.param(raises(OSError("no\r\nreply\n\n twice")), "OSError: no reply twice", id="lines"),
        pytest.param(raises(TimeoutError("no reply")), "TimeoutError: no reply", id="own-timeout"),
    ],
)
async def test_what_goes_wrong_around_a_step_is_an_answer_and_no_step(kind, why):
    """A player would lose its episode to an exception, or have a step counted that has no result."""
    environment = kind(timeout_seconds=60)
    await environment.reset()
    result = await environment.step("go", by="north" if kind is BadPattern else 1)
    assert why in result.error
    assert "\n" not in result.error
    stats = environment.get_stats()
    assert (environment.place, stats.total_steps, stats.total_reward, stats.refused_actions) == (0, 0, 0, 1)
    assert environment.status is HarnessStatus.ACTIVE


@pytest.mark.parametrize(
    "error",
    [SystemExit(3), asyncio.CancelledError("mine"), TimeoutError("no reply")],
    ids=lambda error: type(error).__name__,
)
async def test_what_a_reset_raises_is_one_kind_of_error(error):
    """An environment could end the program that plays it."""

    class Raises(Walk):
        async def reset(self, seed=None):
            raise error

    with pytest.raises(EnvironmentFailed, match=f"could not begin an episode: {type(error).__name__}"):
        await Raises(timeout_seconds=60).reset()


async def test_an_end_that_is_said_late_is_an_end():
    """A game that is over would go on, and the steps after its end would be scored."""

    class Late(Walk):
        async def step(self, action, by=1):
            result = await super().step(action, by)
            result.observation.done = self.place >= 2
            return result

    class AtOnce(Walk):
        async def reset(self, seed=None):
            seen = await super().reset(seed)
            seen.done = True
            return seen

    late, at_once = Late(), AtOnce()
    await late.reset()
    ends = [(await late.step("go")).observation for _ in range(2)]
    assert [(seen.done, seen.terminated) for seen in ends] == [(False, False), (True, True)]
    assert late.is_done()
    first = await at_once.reset()
    assert (first.done, first.terminated, at_once.is_done()) == (True, True, True)


class Mix:
    """Methods of an environment, in a class that is none."""

    place = 0

    async def reset(self, seed=None):
        self.place = 0
        return Observation(content="here")

    async def step(self, action, by=1):
        self.place += by
        return ActionResult(observation=Observation(content="there"), reward=1.0)


class Mixed(Mix, BaseHarness):
    def __init__(self):
        super().__init__("mixed", max_steps=2)

    def get_action_space(self):
        return [ActionDefinition(name="go")]


class Faster(Mix):
    async def step(self, action, by=1):
        return await super().step(action, by=2)


class MixedFaster(Mixed, Faster):
    """Python takes `step` from `Faster`, which comes before what `Mixed` has it from."""


@pytest.mark.parametrize(("kind", "place"), [(Mixed, 2), (MixedFaster, 4)])
async def test_methods_of_a_mixin_are_held_to_the_rules(kind, place):
    """Who writes one part in a class of its own would lose every guard, and never be told."""
    environment = kind()
    assert "call reset first" in (await environment.step("go")).error
    await environment.reset(seed=1)
    assert "no action 'fly'" in (await environment.step("fly")).error
    results = [await environment.step("go") for _ in range(3)]
    assert [result.success for result in results] == [True, True, False]
    assert results[1].observation.truncated
    assert (environment.place, environment.get_stats().total_reward) == (place, 2.0)


async def test_a_task_that_outlives_its_step_is_held_to_the_rules():
    """What an environment left running could step it past its end, uncounted."""

    class Leaves(Walk):
        async def step(self, action, by=1):
            self.later = asyncio.create_task(self.again())
            return await super().step(action, by)

        async def again(self):
            await asyncio.sleep(0.02)
            return await BaseHarness.get_observation(self), await Walk.step(self, "nonsense")

        def __deepcopy__(self, memo):
            raise TypeError

    environment = Leaves()
    await environment.reset()
    await environment.step("go")
    _, result = await environment.later
    assert "no action 'nonsense'" in result.error
    assert environment.place == 1


async def test_a_step_may_wait_for_tasks_that_call_the_environment():
    """It would wait for itself."""

    class Gathers(Walk):
        async def step(self, action, by=1):
            await super().step(action, by)
            (seen,) = await asyncio.gather(self.get_observation())
            return ActionResult(observation=seen)

    environment = Gathers(step_timeout_seconds=5)
    await environment.reset()
    assert (await environment.step("go")).observation.content == "at 1"


class Interrupt(BaseException):
    """Of another package."""


class MuteError(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class Raises(Walk):
    """It raises what the test gives it."""

    error = None

    async def step(self, action, by=1):
        await super().step(action, by)
        if self.error:
            raise self.error
        return ActionResult(observation=self.seen())


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Interrupt("time is up"), "Interrupt: time is up"),
        (MuteError(), "environment 'walk': MuteError"),
        (BaseExceptionGroup("g", [SystemExit(3)]), "SystemExit: 3"),
        (
            ExceptionGroup("g", [ExceptionGroup("h", [ValueError("deep")]), OSError()]),
            "ValueError: deep (and 1 more)",
        ),
        (OSError("no \udcff \x1b[2J file"), "OSError: no \ufffd [2J file"),
    ],
    ids=["a foreign one", "one without words", "a group that ends the program", "groups", "no text"],
)
async def test_whatever_an_environment_raises_is_a_result(error, told):
    """It would end the program of whoever plays, or be told in words that nobody can store."""
    environment = Raises()
    await environment.reset()
    environment.error = error
    failed = await environment.step("go")
    assert failed.error.endswith(told)
    assert failed.model_dump_json()
    result = await HarnessAdapter(environment).execute("step", action_name="go")
    assert result.error.endswith(told)
    environment.error = None
    assert (await environment.step("go")).observation.content == "at 1"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BaseExceptionGroup("g", [KeyboardInterrupt()])])
async def test_who_interrupts_a_step_ends_the_program(error):
    """A person at the terminal would press Ctrl-C, and the game would go on."""
    environment = Raises()
    await environment.reset()
    environment.error = error
    with pytest.raises(type(error)):
        await environment.step("go")
    environment.error = None
    assert (await environment.step("go")).observation.content == "at 1"


async def test_an_action_can_be_named_by_its_keyword():
    """A call that the signature allows would raise an error about a function that nobody knows."""
    environment = Walk()
    await environment.reset()
    assert (await environment.step(action="go", by=3)).observation.content == "at 3"

    class Named(Walk):
        async def step(self, action_, /, **parameters):
            return ActionResult(observation=self.seen(), metadata=parameters)

        def get_action_space(self):
            return [ActionDefinition(name="go", parameters={"action": {"type": "string"}})]

    named = Named()
    await named.reset()
    assert (await named.step("go", action="slowly")).metadata == {"action": "slowly"}


@pytest.mark.parametrize(("given", "named"), [((), {}), ((), {"by": 1}), (("go", 2), {})])
async def test_a_step_that_names_no_action_or_no_parameter_is_refused(given, named):
    """A wrong call would end the program of whoever plays."""
    environment = Walk()
    await environment.reset()
    refused = await environment.step(*given, **named)
    assert "give step the name of one action" in refused.error
    assert environment.get_stats().refused_actions == 1


async def test_time_is_up_when_it_is_up():
    """Whoever asks whether an episode is over would wait for a step that nobody takes."""
    environment = Walk(timeout_seconds=0.05)
    await environment.reset()
    await environment.step("go")
    assert not environment.is_done()
    await asyncio.sleep(0.06)
    assert environment.is_done()
    assert (await environment.get_observation()).truncated
    assert environment.get_stats().truncated
    assert environment.status is HarnessStatus.COMPLETED
    assert "was cut short after 1 steps" in (await environment.step("go")).error


async def test_an_episode_whose_time_ran_out_in_a_step_is_over_after_it_is_undone():
    """It would be told as going on, though nothing can be done in it."""

    class Asks(Walk):
        async def step(self, action, by=1):
            time.sleep(0.06)  # noqa: ASYNC251 - what nobody should do
            raise OSError(f"over: {self.is_done()}")

    environment = Asks(timeout_seconds=0.05)
    await environment.reset()
    assert "over: True" in (await environment.step("go")).error
    assert (environment.status, environment.is_done()) == (HarnessStatus.COMPLETED, True)


async def test_a_reset_that_blocks_beyond_its_time_is_a_failure():
    """An episode would begin that took longer to begin than it may last."""

    class Slow(Walk):
        async def reset(self, seed=None):
            time.sleep(0.1)  # noqa: ASYNC251 - what nobody should do
            return await super().reset(seed)

    with pytest.raises(EnvironmentFailed, match=r"took longer than the 0\.05 s that an episode may last"):
        await Slow(timeout_seconds=0.05).reset()
