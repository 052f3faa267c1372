"""Our environments, for what plays those of Gymnasium."""

import asyncio
import json
import threading

import numpy as np
import pytest

pytest.importorskip("gymnasium", reason="the extra 'gymnasium' is not installed")

import gymnasium
from gymnasium.utils.env_checker import check_env

from shiftwork.environments import ActionDefinition, ActionResult, BaseHarness, Observation
from shiftwork.environments.bridges.choices import MOST_CHOICES, enumerated
from shiftwork.environments.bridges.gymnasium import HarnessEnv, register_environments
from shiftwork.environments.bridges.uncopied import Uncopied
from shiftwork.environments.examples import EXAMPLES


class Pager(BaseHarness):
    """Waits, and needs the loop that it was begun in."""

    def __init__(self):
        super().__init__("pager", max_steps=5)
        self.calls = 0
        self.loop = None

    async def reset(self, seed=None):
        self.loop = Uncopied(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return Observation(content={"seed": seed}, content_type="json")

    async def step(self, action, **parameters):
        assert asyncio.get_running_loop() is self.loop.thing
        await asyncio.sleep(0)
        return ActionResult(observation=Observation(content=parameters["text"]), reward=1)

    def get_action_space(self):
        return [ActionDefinition(name="page", parameters={"text": {"type": "string"}})]


@pytest.mark.parametrize("name", EXAMPLES)
def test_gymnasiums_own_checker_finds_nothing(name):
    """What plays environments of Gymnasium would stumble over ours; its warnings are errors here."""
    assert f"shiftwork/{name}-v0" in register_environments()
    env = gymnasium.make(f"shiftwork/{name}-v0", render_mode="ansi").unwrapped
    check_env(env)
    env.close()
    env.close()


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - {"coding_challenge", "text_adventure"}))
def test_the_mask_says_what_is_taken(name):
    """A learner would be kept from what is allowed, or waste its steps on what is not."""
    env = HarnessEnv(name)
    observation, _ = env.reset(seed=5)
    for _ in range(12):
        mask = observation["action_mask"]
        for number in [*mask.nonzero()[0][:2], *(1 - mask).nonzero()[0][:2]]:
            allowed = bool(mask[number])
            observation, reward, terminated, truncated, info = env.step(number)
            assert (info["error"] is None) is allowed
            if allowed:
                break
            assert (reward, terminated, truncated) == (0.0, False, False)
        if terminated or truncated:
            break
    env.close()


def test_episodes_follow_from_the_first_seed():
    """A run of a learner, which seeds only once, could not be repeated."""
    runs = []
    for _ in range(2):
        env = HarnessEnv("maze")
        env.reset(seed=9)
        runs.append([env.reset()[0]["text"] for _ in range(3)])
        env.close()
    assert runs[0] == runs[1]
    assert len(set(runs[0])) > 1


def test_actions_with_open_parameters_are_texts():
    """Environments whose actions can't be numbered could not be played."""
    env = HarnessEnv(Pager(), refused_reward=-0.5)
    _, info = env.reset(seed=1)
    assert info["content"] == {"seed": 1}
    for wrong in ("shout", '{"action": "page"}', "[" * 5000):
        observation, reward, *_, info = env.step(wrong)
        assert info["error"]
        assert (reward, json.loads(observation["text"])) == (-0.5, {"seed": 1})
    observation, reward, *_ = env.step(json.dumps({"action": "page", "parameters": {"text": "→ hello"}}))
    assert (observation["text"], reward) == ("→ hello", 1.0)
    assert observation in env.observation_space
    env.close()


async def test_it_can_be_driven_inside_of_a_running_loop():
    """Notebooks and servers have a loop already, in which another one can't be run."""
    env = HarnessEnv(Pager())
    env.reset(seed=1)
    assert env.step('{"action": "page", "parameters": {"text": "x"}}')[1] == 1.0
    env.close()


def test_nothing_is_left_running():
    """A learner with thousands of environments would run out of threads."""
    before = threading.active_count()
    closed, dropped = HarnessEnv("maze"), HarnessEnv("maze")
    for env in (closed, dropped):
        env.reset(seed=1)
    assert threading.active_count() == before + 2
    closed.close()
    del env, dropped
    assert threading.active_count() == before
    with pytest.raises(gymnasium.error.ClosedEnvironmentError):
        closed.reset()


def test_calls_in_the_wrong_order_are_told():
    """A player would be shown an error about None."""
    env = HarnessEnv("maze")
    for call in (lambda: env.step(0), HarnessEnv("maze", render_mode="ansi").render):
        with pytest.raises(gymnasium.error.ResetNeeded, match="call reset first"):
            call()
    with pytest.raises(gymnasium.error.UnsupportedMode, match="there is 'ansi'"):
        HarnessEnv("maze", render_mode="human")
    env.close()


@pytest.mark.parametrize(
    ("parameters", "number"),
    [
        ({}, 1),
        ({"column": {"enum": [1, 2, 3]}, "loud": {"type": "boolean"}}, 6),
        (
            {
                "how": {
                    "anyOf": [
                        {"const": "up"},
                        {"type": "null"},
                        {"type": "integer", "minimum": 1, "maximum": 2},
                    ]
                }
            },
            4,
        ),
        ({"quantity": {"type": "integer", "minimum": 0, "maximum": MOST_CHOICES}}, None),
        ({"quantity": {"type": "integer", "minimum": 0}}, None),
        ({"even": {"type": "integer", "minimum": 0, "maximum": 8, "multipleOf": 2}}, None),
        ({"name": {"type": "string"}}, None),
        ({"name": {"type": "string", "default": "x"}}, 1),
        ({"a": {"enum": list(range(50))}, "b": {"enum": list(range(50))}}, None),
    ],
    ids=["none", "product", "branches", "many", "no-end", "multiples", "text", "optional", "too-many"],
)
def test_choices_are_numbered_where_they_have_an_end(parameters, number):
    """An action space would miss what can be done, or never be finished."""
    found = enumerated([ActionDefinition(name="go", parameters=parameters)])
    assert (None if found is None else len(found)) == number


@pytest.mark.parametrize("action", ["abc", None, 1.7, 2.0, [1], 99, -1])
def test_what_is_no_number_is_refused(action):
    """A learner's mistake would end its program, or be taken for another action."""
    env = HarnessEnv("maze")
    env.reset(seed=1)
    _, reward, terminated, truncated, info = env.step(action)

    assert (reward, terminated, truncated) == (0.0, False, False)
    assert "0 to 3" in info["error"]
    assert env.step(np.int64(1))[4]["error"] != info["error"]
    env.close()
