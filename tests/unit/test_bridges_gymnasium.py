"""Environments of Gymnasium, played as ours."""

import base64
import subprocess
import sys
import zlib

import numpy as np
import pytest

pytest.importorskip("gymnasium", reason="the extra 'gymnasium' is not installed")

import gymnasium
from gymnasium import spaces
from gymnasium.utils import EzPickle
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from shiftwork.environments.bridges.gymnasium import GymnasiumHarness
from shiftwork.environments.bridges.png import png
from shiftwork.environments.bridges.spaces import from_json, schema_of, to_json
from shiftwork.environments.conformance import check_harness
from shiftwork.environments.playing import play
from shiftwork.environments.policies import RandomPolicy
from shiftwork.environments.registry import make_environment
from shiftwork.errors import InvalidInput

SPACES = {
    "discrete": spaces.Discrete(3, start=-1),
    "multi-discrete": spaces.MultiDiscrete([2, 5], start=[1, -2]),
    "multi-binary": spaces.MultiBinary((2, 3)),
    "box": spaces.Box(-1.0, 1.0, (2, 2), np.float32),
    "uneven-box": spaces.Box(np.array([0, -5]), np.array([1, 5]), dtype=np.int16),
    "open-box": spaces.Box(-np.inf, np.inf, (2,), np.float64),
    "number": spaces.Box(0.0, 0.1, (), np.float32),
    "text": spaces.Text(6, min_length=2, charset="ab-]^\\"),
    "tuple": spaces.Tuple((spaces.Discrete(2), spaces.Box(0, 1, (1,)))),
    "dict": spaces.Dict({"move": spaces.Discrete(4), "say": spaces.Text(5)}),
    "one-of": spaces.OneOf((spaces.Discrete(2), spaces.Text(3))),
    "sequence": spaces.Sequence(spaces.Discrete(3)),
}


class Room(gymnasium.Env, EzPickle):
    """A room without a purpose.

    What is done in it is remembered.
    """

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, action_space=None, size=12, render_mode=None):
        EzPickle.__init__(self, action_space, size, render_mode)
        self.action_space = action_space or spaces.Discrete(2)
        self.observation_space = spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.render_mode = render_mode
        self.size = size
        self.done = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.done = []
        return self._seen(), {"options": options, "self": self}

    def step(self, action):
        assert self.action_space.contains(action)
        self.done.append(action)
        if len(self.done) == 3 and self.size == 13:
            raise RuntimeError("the ceiling came down")
        info = {"action_mask": np.array([0, 1], np.int8), "taken": np.int64(len(self.done)), "gap": np.nan}
        return self._seen(), np.float32(1), np.False_, np.bool_(len(self.done) == 5), info

    def _seen(self):
        return np.full((self.size, self.size, 3), len(self.done), np.uint8)


@pytest.mark.parametrize("kind", SPACES)
def test_what_a_space_holds_is_json_and_comes_back(kind):
    """A player's action would be another one by the time it reaches the environment."""
    space = SPACES[kind]
    space.seed(3)
    validator = Draft202012Validator(schema_of(space))
    for _ in range(20):
        value = space.sample()
        told = to_json(value)
        validator.validate(told)
        again = from_json(space, told)
        assert space.contains(again)
        assert to_json(again) == told


@pytest.mark.parametrize("kind", SPACES)
async def test_any_action_that_is_offered_can_be_taken(kind):
    """Players would be offered what the environment then fails on."""
    report = await check_harness(lambda: GymnasiumHarness(Room(SPACES[kind])), episodes=1, steps=6)
    assert report.ok, report.faults


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (spaces.Graph(spaces.Discrete(2), None), "of the space Graph can't be written as JSON"),
        (spaces.Tuple([spaces.Tuple([])]), "can't be written as JSON: the definition"),
        (spaces.Box(0, 1, (40, 40)), "has 1600 numbers, and at most 1000"),
    ],
    ids=["graph", "nothing", "large"],
)
def test_actions_that_nobody_can_write_are_told(space, said):
    """People would find out in the middle of an episode."""
    with pytest.raises(InvalidInput, match=said):
        GymnasiumHarness(Room(space))


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1", "Taxi-v4", "Blackjack-v1"])
async def test_an_environment_of_gymnasium_keeps_our_rules(name):
    """Evaluations on the environments of the field would not be what ours are."""
    report = await check_harness(lambda: make_environment(f"gymnasium/{name}"), episodes=2, steps=15)
    assert report.ok, report.faults


async def test_it_plays_what_gymnasium_itself_plays():
    """Results could not be compared with anybody else's."""
    ours = make_environment("gymnasium/CartPole-v1")
    trajectory = await play(ours, RandomPolicy(4), seed=7)
    theirs = gymnasium.make("CartPole-v1")
    theirs.reset(seed=7)
    rewards = 0.0
    for step in trajectory.steps:
        _, reward, terminated, truncated, _ = theirs.step(step.parameters["value"])
        rewards += reward
        assert (step.terminated, step.truncated) == (terminated, truncated)
    assert terminated
    assert trajectory.stats.total_reward == rewards
    assert not trajectory.stats.success  # it takes 475 steps
    assert ours.max_steps == 500


async def test_a_picture_is_shown_as_png_with_what_the_environment_says_of_itself():
    """A model could neither see the room nor know what it is for."""
    room = GymnasiumHarness(Room())
    seen = await room.reset(seed=1, options={"light": True})
    data = base64.b64decode(seen.content)
    assert seen.content_type == "image"
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert seen.metadata["options"] == {"light": True}
    assert "self" not in seen.metadata
    assert seen.metadata["about"].startswith("A room without a purpose.")


async def test_a_mask_leaves_only_what_is_allowed():
    """Players would be offered what the environment does not allow."""
    room = GymnasiumHarness(Room(), actions=["wait", "leave"])
    assert [each.name for each in (await room.reset(seed=1)).available_actions] == ["wait", "leave"]
    result = await room.step("wait")
    assert [each.name for each in result.observation.available_actions] == ["leave"]
    assert result.observation.metadata["taken"] == 1
    assert result.observation.metadata["gap"] is None
    assert (await room.step("wait")).error.startswith("there is no action 'wait' now")


async def test_a_step_that_fails_leaves_the_episode_as_it_was():
    """What copies itself by making another one would begin anew in the middle of an episode."""
    env = Room(size=13)
    room = GymnasiumHarness(env)
    await room.reset(seed=1)
    for _ in range(2):
        assert (await room.step("act", value=1)).success
    failed = await room.step("act", value=1)
    assert "the ceiling came down" in failed.error
    assert env.done == [1, 1]
    assert room.current_step == 2


async def test_text_is_shown_with_what_only_its_colour_told():
    """A player on a frozen lake would not know where it stands."""
    lake = make_environment(
        "gymnasium/FrozenLake-v1", {"show": "render", "actions": ["left", "down", "right", "up"]}
    )
    seen = await lake.reset(seed=3)
    assert seen.content.splitlines()[0] == "[S]FFF"
    assert seen.metadata["observation"] == 0
    await lake.shutdown()


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("", {}, "names none of gymnasium's"),
        ("Nowhere-v1", {}, "can't make 'Nowhere-v1': .*doesn't exist"),
        ("no_such_module:Thing-v0", {}, "No module named 'no_such_module'"),
        ("CartPole-v1", {"colour": "red"}, "unexpected keyword argument 'colour'"),
        ("CartPole-v1", {"actions": ["left"]}, "give 2 that all differ"),
        ("Pendulum-v1", {"actions": ["left"]}, "leave them out"),
        ("CartPole-v1", {"show": "film"}, "one of 'observation', 'render'"),
    ],
    ids=["no-name", "unknown", "module", "option", "names", "no-names", "show"],
)
async def test_what_cannot_be_made_is_told_in_one_sentence(name, parameters, said):
    """People would be shown a traceback of somebody else's code."""
    with pytest.raises(Exception, match=said):
        await make_environment(f"gymnasium/{name}", parameters).reset(seed=0)


@pytest.mark.parametrize(("version", "warned"), [(1, False), (2, True)], ids=["not there", "old"])
def test_what_gymnasium_warns_of_is_told_of_what_can_be_made(version, warned):
    """Beside the one sentence on a version that is not there, people would read a warning with its source."""
    code = (
        "import gymnasium\nfrom gymnasium.envs.classic_control import CartPoleEnv\n"
        "for version in (2, 3):\n    gymnasium.register(f'Cart-v{version}', CartPoleEnv)\n"
        "from shiftwork.environments.registry import make_environment\n"
        f"try:\n    make_environment('gymnasium/Cart-v{version}')\n"
        "except Exception as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True
    )
    assert ("out of date" in done.stderr) is warned, done.stderr
    assert ("Gymnasium can't make 'Cart-v1'" in done.stdout) is not warned


@pytest.mark.parametrize(
    ("bridge", "package"),
    [
        ("gymnasium", "gymnasium"),
        ("pettingzoo", "pettingzoo"),
        ("reasoning-gym", "reasoning_gym"),
        ("textworld", "textworld"),
    ],
    ids=["gymnasium", "pettingzoo", "reasoning-gym", "textworld"],
)
def test_a_missing_extra_says_how_to_get_it(bridge, package):
    """Whoever has not installed what a bridge leads to would have to guess what to install."""
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from shiftwork.environments.registry import make_environment\n"
        f"try:\n    make_environment('{bridge}/x')\nexcept Exception as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True
    )
    assert done.stdout.strip() == (
        f"the bridge to {bridge} needs the package {package!r}, which is not installed; "
        f"get it with: pip install 'shiftwork[{bridge}]'"
    )


@pytest.mark.parametrize("given", [5, None, lambda: gymnasium.make_vec("CartPole-v1", num_envs=2)])
def test_what_is_no_environment_is_told_at_once(given):
    """A vector of environments would be made, and fail in the middle of its first episode."""
    with pytest.raises(InvalidInput, match=r"give a gymnasium\.Env"):
        GymnasiumHarness(given() if callable(given) else given)


def test_what_is_asked_before_the_first_episode_is_answered():
    """Lists and dashboards would fail on an environment that nobody has played yet."""
    pole = GymnasiumHarness("CartPole-v1", max_steps=3)
    assert (pole.max_steps, pole.is_success(), pole.is_done()) == (3, False, False)
    assert pole.get_stats().total_steps == 0
    with pytest.raises(InvalidInput, match="max_steps"):
        GymnasiumHarness("CartPole-v1", max_steps=0)


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3, 4]), st.integers(0, 2**32 - 1))
def test_a_png_holds_every_pixel(height, width, channels, seed):
    """A model would be shown another picture."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    data = png(pixels)
    place, chunks = 8, {}
    while place < len(data):
        size = int.from_bytes(data[place : place + 4])
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        assert int.from_bytes(data[place + 8 + size : place + 12 + size]) == zlib.crc32(kind + body)
        chunks[kind] = body
        place += 12 + size
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + width * channels)
    assert (rows[:, 0] == 0).all()
    assert (rows[:, 1:].reshape(pixels.shape) == pixels).all()


@pytest.mark.parametrize("value", [1e39, -1e39, 10**400], ids=["large", "small", "huge"])
async def test_a_number_that_the_space_can_not_hold_is_refused(value):
    """An environment would be stepped by an infinite force, and show nothing but nulls afterwards."""
    room = Room()
    room.action_space = spaces.Dict({"push": spaces.Box(-np.inf, np.inf, (1,), np.float32)})
    harness = GymnasiumHarness(room)
    await harness.reset(seed=1)
    result = await harness.step("act", push=[value])

    assert not result.success
    assert "too large for float32" in str(result.error)
