"""Playing episodes by policies, and taking them up again from what is recorded."""

import random
import re

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftwork.environments import ActionDefinition, ActionResult, BaseHarness, Observation
from shiftwork.environments.playing import (
    Choice,
    Diverged,
    Ending,
    PolicyPerAgent,
    RandomPolicy,
    ScriptedPolicy,
    Trajectory,
    digest,
    fault_of,
    play,
)
from shiftwork.environments.sampling import CannotSample, sample, sample_parameters
from shiftwork.errors import EnvironmentFailed, InvalidInput

OPEN = [("open", {"door": 1})]
DOORS = {"door": {"type": "integer", "minimum": 1, "maximum": 3}}


class Doors(BaseHarness):
    """Behind one of three doors, drawn anew each time, is what counts; four finds end it."""

    def __init__(self, **limits):
        super().__init__("doors", **limits)
        self.found = 0

    async def reset(self, seed=0):
        self.found = 0
        return await self.get_observation()

    async def step(self, action, **parameters):
        hit = parameters.get("door") == self.random.randint(1, 3)
        self.found += hit
        if action == "kick":
            return ActionResult(success=False, observation=await self.get_observation(), error="no kicking")
        return ActionResult(observation=await self.get_observation(), reward=float(hit))

    def get_action_space(self):
        return [ActionDefinition(name="open", parameters=DOORS), ActionDefinition(name="kick")]

    async def get_observation(self):
        return Observation(content=f"found {self.found}", terminated=self.found == 4)


class Turns(Doors):
    """Two players, in turn."""

    agents = ("black", "white")

    turn = 0

    async def step(self, action, **parameters):
        self.turn += 1
        return await super().step(action, **parameters)

    async def get_observation(self):
        seen = await super().get_observation()
        return seen.model_copy(update={"agent": self.agents[self.turn % 2]})


async def test_the_same_seeds_play_the_same_trajectory():
    """Otherwise nobody could look at an episode again."""
    one, two, other = [await play(Doors(), RandomPolicy(3), seed=seed) for seed in (7, 7, 8)]

    assert one.steps == two.steps
    assert one.ending is Ending.TERMINATED
    assert one.stats.total_reward == 4
    assert one.steps != other.steps


@pytest.mark.parametrize("taken", [1, 5, 9])
async def test_an_episode_is_taken_up_where_it_was_left(taken):
    """A crash in the middle would otherwise change what comes after it."""
    whole = await play(Doors(), RandomPolicy(1), seed=11)

    again = await play(Doors(), RandomPolicy(1), seed=11, recorded=whole.steps[:taken])

    assert len(whole.steps) > taken
    assert whole.steps == again.steps
    assert whole.stats.model_copy(update={"duration_seconds": 0}) == again.stats.model_copy(
        update={"duration_seconds": 0}
    )
    assert whole == Trajectory.model_validate_json(whole.model_dump_json())


async def test_a_recorded_end_is_the_end():
    """A worker that dies after the last step would otherwise play on behind the end."""
    whole = await play(Doors(), RandomPolicy(1), seed=11)
    cut = [*whole.steps[:2], whole.steps[2].model_copy(update={"truncated": True})]

    assert whole.steps == (await play(Doors(), RandomPolicy(9), seed=11, recorded=whole.steps)).steps
    ended = await play(Doors(), RandomPolicy(9), seed=11, recorded=cut)
    assert Ending.TRUNCATED is ended.ending
    assert len(ended.steps) == 3
    assert ended.stats.truncated


async def test_time_that_was_spent_before_counts():
    """Each crash would otherwise give an episode its whole time again."""
    whole = await play(Doors(), ScriptedPolicy([("open", {"door": 1})]), seed=11)

    environment = Doors(timeout_seconds=60)
    again = await play(environment, RandomPolicy(), seed=11, recorded=whole.steps, spent=100)

    assert Ending.TRUNCATED is again.ending
    assert again.stats.duration_seconds >= 100


@pytest.mark.parametrize(
    "change",
    [{"reward": 5.0}, {"observation": "another"}, {"action": "kick"}, {"terminated": True}],
    ids=["reward", "observation", "refused", "terminated"],
)
async def test_what_goes_otherwise_than_recorded_is_told(change):
    """An environment that changed would otherwise go on with an episode that never was."""
    whole = await play(Doors(), ScriptedPolicy([("open", {"door": 1})] * 3), seed=11)
    recorded = [*whole.steps[:1], whole.steps[1].model_copy(update=change)]

    with pytest.raises(Diverged, match=r"step 2 of environment 'doors'"):
        await play(Doors(), RandomPolicy(), seed=11, recorded=recorded)


async def test_a_step_is_told_before_the_player_sees_it():
    """A step that the player knows of and the record does not is lost by a crash."""
    told = []

    class Looking(ScriptedPolicy):
        async def act(self, observation, history):
            assert [step.number for step in history] == told
            return await super().act(observation, history)

    async def tell(step, result):
        assert step.observation == digest(result.observation)
        told.append(step.number)

    ended = await play(Doors(), Looking([("open", {"door": 2}), "kick", "open"]), seed=1, on_step=tell)

    assert told == [1, 2, 3]
    assert Ending.STOPPED is ended.ending
    assert [step.success for step in ended.steps] == [True, False, False]
    assert ended.stats.refused_actions == 2
    assert ended.steps[1].error == "no kicking"


async def test_a_player_that_only_errs_is_stopped():
    """An agent that repeats a wrong action would otherwise play for ever."""
    ended = await play(Doors(), ScriptedPolicy(["kick"] * 50), seed=1, most_refused=4)

    assert (ended.ending, len(ended.steps)) == (Ending.REFUSED, 4)


class Broken(Doors):
    """Every door of it fails."""

    async def step(self, action, **parameters):
        if action == "open":
            raise KeyError("the hinge")
        return await super().step(action, **parameters)


async def test_an_environment_that_only_fails_is_to_blame_itself():
    """Its faults would count as a player's bad score."""
    told = []

    async def tell(step, result):
        del result
        told.append(step)

    why = r"4 actions in a row failed inside environment 'doors'; the last time: .*KeyError: 'the hinge'"
    player = [("open", {"door": 1}), "kick", ("open", {"door": 2}), ("open", {"door": 9}), *OPEN * 9]
    with pytest.raises(EnvironmentFailed, match=why):
        await play(Broken(), ScriptedPolicy(player), seed=1, most_refused=4, on_step=tell)
    assert [step.fault for step in told] == [True, False, True, False, True, True]


async def test_wrong_actions_among_faults_are_counted_for_themselves():
    """A player would be stopped for what its environment did."""
    player = ["kick", *OPEN * 2, "kick", "kick", *OPEN, "kick", *OPEN]
    ended = await play(Broken(), ScriptedPolicy(player), seed=1, most_refused=4)
    assert (ended.ending, len(ended.steps)) == (Ending.REFUSED, 7)


async def test_faults_are_counted_on_after_a_crash():
    """An episode would go on longer with a crash than without one."""
    begun = await play(Broken(), ScriptedPolicy(OPEN * 3), seed=1, most_refused=4)
    told = []

    async def tell(step, result):
        del result
        told.append(step.number)

    with pytest.raises(EnvironmentFailed, match="4 actions in a row"):
        await play(
            Broken(), ScriptedPolicy(OPEN * 9), seed=1, recorded=begun.steps, most_refused=4, on_step=tell
        )
    assert told == [4]


@pytest.mark.parametrize(
    ("player", "most", "why"),
    [
        (OPEN, None, r"The last action of the episode failed inside environment 'doors': .*'the hinge'"),
        (OPEN * 9, 3, r"The last 3 actions of the episode failed inside environment 'doors': .*'the hinge'"),
        (["kick", *OPEN, "kick", *OPEN], None, r"The last 2 actions of the episode failed inside"),
        ([*OPEN, "kick"], None, None),
        (["kick"] * 9, 3, None),
    ],
    ids=["stops after it", "the limit", "among wrong ones", "wrong since", "wrong alone"],
)
async def test_a_play_that_ends_with_faults_says_nothing_of_the_player(player, most, why):
    """With few steps to take, a broken environment would count as a player's bad score."""
    ended = await play(Broken(), ScriptedPolicy(player), seed=1, most_steps=most)
    assert ended.ending is Ending.STOPPED
    fault = fault_of(ended)
    assert fault is None if why is None else re.match(why, fault or "")


class Torn(Broken):
    """It holds what can't be put back, and no seed makes it again."""

    async def reset(self):
        self.ways = iter(range(9))
        self.found = 0
        return await self.get_observation()

    async def step(self, action, **parameters):
        self.found = next(self.ways)
        if action == "kick":
            raise KeyError("the hinge")
        return ActionResult(observation=await self.get_observation(), reward=1.0)


@pytest.mark.parametrize("cut", [False, True])
async def test_an_environment_that_a_step_broke_is_broken_after_a_crash_too(cut):
    """A play that is over would go on behind the step that nobody could undo, and be a player's score."""
    script = [*OPEN, "kick", *OPEN * 2]
    whole = await play(Torn(), ScriptedPolicy(script), seed=1)
    assert (whole.ending, [step.broken for step in whole.steps]) == (Ending.BROKEN, [False, True])

    last = whole.steps[-1].model_copy(update={"truncated": cut})
    again = await play(Torn(), ScriptedPolicy(script), seed=1, recorded=[whole.steps[0], last])
    assert again.ending is (Ending.TRUNCATED if cut else Ending.BROKEN)
    assert (len(again.steps), again.stats.refused_actions) == (2, 1)
    assert "KeyError: 'the hinge'" in (fault_of(again) or "")


async def test_a_play_that_went_on_after_a_fault_is_the_players():
    """One mistake of an environment would take from a player what it earned."""
    ended = await play(Doors(), ScriptedPolicy([*OPEN, ("open", {"door": 2})]), seed=1)
    broken = ended.steps[0].model_copy(update={"success": False, "fault": True, "error": "x"})
    assert fault_of(ended.model_copy(update={"steps": (broken, *ended.steps[1:])})) is None
    stuck = ended.model_copy(update={"steps": (broken,), "ending": Ending.BROKEN})
    assert "which could not be put back to where it was: x" in (fault_of(stuck) or "")


async def test_a_player_may_be_given_so_many_steps():
    """A random player in an environment without end would otherwise play for ever."""
    ended = await play(Doors(), RandomPolicy(), seed=1, most_steps=2)

    assert (ended.ending, len(ended.steps)) == (Ending.STOPPED, 2)


async def test_each_agent_has_a_player_of_its_own():
    """Two agents could otherwise not be set against each other."""
    one, three = ScriptedPolicy([("open", {"door": 1})] * 4), ScriptedPolicy([("open", {"door": 3})] * 4)

    ended = await play(Turns(), PolicyPerAgent({"black": one, "white": three}), seed=1, most_steps=4)

    assert [(step.agent, step.parameters["door"]) for step in ended.steps] == [("black", 1), ("white", 3)] * 2
    with pytest.raises(InvalidInput, match="nobody plays for agent 'white'"):
        await play(Turns(), PolicyPerAgent({"black": one}), seed=1)


def test_a_digest_is_of_what_is_perceived():
    """A record would otherwise differ by what a clock or the order of keys decides."""
    seen = Observation(content={"a": 1, "b": [1.5]}, content_type="json", metadata={"x": "\u00e9"})
    same = Observation(
        content={"b": [1.5], "a": 1}, content_type="json", metadata={"x": "\u00e9"}, reward=3, truncated=True
    )

    assert digest(seen) == digest(same)
    assert digest(seen) != digest(seen.model_copy(update={"terminated": True}))


SCHEMAS = {
    "anything": True,
    "constant": {"const": {"a": [1]}},
    "choice": {"enum": ["a", 3, None]},
    "integers": {"type": "integer", "minimum": 5, "exclusiveMaximum": 7},
    "one-bound": {"type": "integer", "maximum": -1000},
    "open-bound": {"type": "integer", "exclusiveMinimum": 3},
    "multiples": {"type": "integer", "multipleOf": 7, "minimum": 1},
    "numbers": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    "quarters": {"type": "number", "multipleOf": 0.25, "minimum": 0, "maximum": 2},
    "texts": {"type": "string", "minLength": 3, "maxLength": 4},
    "long": {"type": "string", "minLength": 100},
    "either": {"type": ["boolean", "null"]},
    "list": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
    "set": {"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 3, "uniqueItems": True},
    "pair": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2},
    "any-of": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "minLength": 1}]},
    "one-of": {"oneOf": [{"type": "integer", "multipleOf": 2}, {"type": "integer", "multipleOf": 3}]},
    "object": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"$ref": "#/$defs/more"}},
        "required": ["b"],
        "$defs": {"more": {"type": "object", "properties": {"b": {"$ref": "#/$defs/more"}}}},
    },
    "example": {"type": "string", "pattern": "^[A-H][1-8]$", "examples": ["E4", "D2"]},
    "negative": {"not": {"type": "string"}, "type": ["string", "integer"]},
    "untyped": {"minimum": 3},
}


@pytest.mark.parametrize("name", SCHEMAS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_what_is_drawn_is_what_the_schema_allows(name, seed):
    """A random player would otherwise play what no environment takes."""
    drawn = sample(SCHEMAS[name], random.Random(seed))

    jsonschema.validate(drawn, SCHEMAS[name])
    assert drawn == sample(SCHEMAS[name], random.Random(seed))


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "string", "pattern": "^[A-H][1-8]$"}, "by chance"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "at least 3 and at most 2"),
        ({"$ref": "https://example.org/schema"}, "outside of itself"),
        ({"$ref": "#/$defs/none"}, "not there"),
        (False, "allows nothing"),
        ({"type": "array", "uniqueItems": True, "items": {"const": 1}, "minItems": 2}, "have to differ"),
        ({"$ref": "#"}, "too deep"),
        ({"type": "string", "minLength": 3, "maxLength": 1}, "no text"),
    ],
    ids=["pattern", "bounds", "elsewhere", "nowhere", "nothing", "few", "endless", "text"],
)
def test_what_cannot_be_drawn_is_told(schema, said):
    """People would otherwise search for the reason in the wrong place."""
    with pytest.raises(CannotSample, match=rf"^the place can't be drawn: .*{said}.*examples"):
        sample(schema, random.Random(1), what="the place")


def test_parameters_are_drawn_from_maps_and_from_schemas():
    """Both ways of writing an action's parameters are in use."""
    source = random.Random(4)
    as_schema = {"type": "object", "properties": DOORS, "required": ["door"]}

    for written in (DOORS, as_schema):
        drawn = sample_parameters(ActionDefinition(name="open", parameters=written), source)
        assert drawn["door"] in (1, 2, 3)
    assert sample_parameters(ActionDefinition(name="wait"), source) == {}
    assert Choice(action="open") == Choice(action="open", parameters={})


@pytest.mark.parametrize("name", ["self", "action", "environment", "inner"])
async def test_parameters_may_have_any_name(name):
    """Otherwise a player could end an episode by the name of a parameter, instead of being refused."""
    ended = await play(Doors(), ScriptedPolicy([("open", {"door": 1, name: 1}), "open"]), seed=1)
    assert [step.success for step in ended.steps] == [False, False]
    assert name in (ended.steps[0].error or "")
