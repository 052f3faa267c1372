"""Environments from the command line, where no stack is needed."""

import json
import subprocess
import sys
from dataclasses import dataclass

import pytest

from tests.integration.test_cli_widths import shown

BROKEN = """
from shiftwork.environments import ActionDefinition, ActionResult, BaseHarness, Observation

LIVES = [9]


class Cheater(BaseHarness):
    '''Forgets nothing.'''

    def __init__(self, colour):
        super().__init__("cheater")

    async def reset(self):
        LIVES[0] -= 1
        actions = self.get_action_space()
        return Observation(content=f"\\x1b[2J{LIVES[0]} lives \\u202e", available_actions=actions)

    async def step(self, action):
        LIVES[0] -= 1
        return ActionResult(observation=Observation(content=str(LIVES[0]), done=LIVES[0] < 1))

    def get_action_space(self):
        return [ActionDefinition(name="go")]
"""


PATIENT = """
from shiftwork.environments import ActionDefinition, ActionResult, BaseHarness, Observation


class Patient(BaseHarness):
    def __init__(self, until: int = 0):
        super().__init__("patient", max_steps=1000)
        self.until = until

    async def reset(self):
        return Observation(content="Wait.")

    async def step(self, action):
        over = self.current_step + 1 == self.until
        return ActionResult(observation=Observation(content="Wait.", terminated=over))

    def get_action_space(self):
        return [ActionDefinition(name="wait")]


class Board(Patient):
    agents = ("ann", "bob")

    async def reset(self):
        about = "## Rules\\n\\nThree in a row.\\n\\n## History\\n\\nNobody has ever won."
        return self.seen().model_copy(update={"metadata": {"about": about}})

    async def step(self, action):
        return ActionResult(observation=self.seen())

    def seen(self):
        return Observation(content=[[[0, 0]] * 3] * 3, content_type="json", agent="ann")
"""


@dataclass(frozen=True)
class Said:
    """What a command printed."""

    out: str
    err: str


@pytest.fixture
def typed(tmp_path):
    """Types a command in a folder with a module of somebody's own; what it said."""
    (tmp_path / "my_game_for_tests.py").write_text(BROKEN)
    (tmp_path / "waiting_for_tests.py").write_text(PATIENT)

    def run(*argv, status=0, stdin=""):
        command = [sys.executable, "-P", "-m", "client", "env", *argv]
        done = subprocess.run(
            command, cwd=tmp_path, input=stdin, capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == status, done
        return Said(done.stdout, done.stderr)

    return run


def test_environments_are_listed_and_shown(typed) -> None:
    """Nobody would know what there is to play."""
    listed = typed("list").out
    assert [line.split()[:2] for line in listed.splitlines()[1:3]] == [
        ["coding_challenge", "1"],
        ["connect_four", "2"],
    ]
    told = json.loads(typed("list", "--json").out)
    maze = next(each for each in told["environments"] if each["name"] == "maze")
    assert maze["parameters"][0] == {"name": "rows", "type": "int", "required": False, "default": 8}
    assert (maze["max_steps"], maze["actions"][0]["name"], told["problems"]) == (256, "move", [])
    assert (
        "most steps   1152"
        in typed("show", "maze", "--parameter", "rows=12", "--parameter", "columns=24").out
    )
    page = typed("show", "my_game_for_tests:Cheater").out
    assert "Forgets nothing." in page
    assert "required" in page


def test_an_environment_is_checked(typed) -> None:
    """Somebody who writes one would have to write a program to hold it against the rules."""
    assert typed("check", "number_guess").out == "number_guess keeps the 24 rules it was held against.\n"
    tried = "ends: max_steps is 1000, and 300 steps were tried\n"
    assert typed("check", "waiting_for_tests:Patient").out == (
        "not checked: ends: no episode was over after 300 steps; give it max_steps, or another player\n"
        f"not checked: {tried}patient keeps 23 of 24 rules; 1 was not checked.\n"
    )
    assert typed("check", "waiting_for_tests:Patient", "--parameter", "until=20").out == (
        f"checked in part: {tried}patient keeps 23 of 24 rules; 1 was checked in part.\n"
    )
    args = ("check", "my_game_for_tests:Cheater", "--parameter", "colour=red")
    said = typed(*args, status=5).out
    assert "cheater breaks 1 of 24 rules, and keeps 19; 4 were not checked." in said
    told = json.loads(typed(*args, "--json", status=5).out)
    assert not told["ok"]
    assert {"rule", "message"} == set(told["faults"][0])


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (("show", "nowhere"), "there is no environment 'nowhere'; there are: coding_challenge"),
        (("check", "my_game_for_tests:Nobody"), "can't be loaded: AttributeError"),
        (("check", "my_game_for_tests:Cheater"), "missing a required argument: 'colour'"),
        (
            ("show", "waiting_for_tests:Patient", "--parameter", "until=soon"),
            "until is 'soon'; give environment 'waiting_for_tests:Patient' an integer",
        ),
        (("play", "maze", "--parameter", "rows=1"), "rows is 1; give a whole number from 2 to"),
        (("show", "a b:c d"), "is no path of a class"),
        (("show", "os:getcwd"), "is no BaseHarness but a str"),
    ],
)
def test_what_is_wrong_is_one_sentence(typed, argv, why) -> None:
    """A typing mistake would be answered with a traceback."""
    said = typed(*argv, status=1)
    assert why in said.err
    assert said.err.count("\n") == 1


def test_a_person_plays(typed) -> None:
    """Nobody could try an environment before agents are sent there."""
    said = typed("play", "number_guess", "--seed", "7", stdin="help\nguess x\n50\n\nfoo\ng 17\n").out
    assert "I am thinking of a whole number from 1 to 100." in said
    assert "  guess number (integer from 1 to 100)" in said
    assert "Not done: parameter 'number' of action 'guess': 'x' is not of type 'integer'" in said
    assert "50 is too high" in said
    assert "'foo' is no action now; there are: guess." in said
    assert said.splitlines()[-5:] == [
        "You stopped.",
        "success  no",
        "reward   0.04743",
        "steps    2",
        "seed     7",
    ]
    told = typed("play", "number_guess", "--seed", "7", "--json", stdin="foo\n50\n{}\nguess 50\n").out
    kinds = [json.loads(line)["kind"] for line in told.splitlines()]
    assert kinds == ["observation", "misunderstood", "step", "step", "step", "end"]


def test_a_person_sees_the_board_whose_turn_it_is_and_what_the_game_is(typed) -> None:
    """The board of a game would take a line for each number, and nobody would know who is asked."""
    said = typed("play", "waiting_for_tests:Board", stdin="about\nwait\n").out.splitlines()
    board = said.index("[[[0, 0], [0, 0], [0, 0]], [[0, 0], [0, 0], [0, 0]], [[0, 0], [0, 0], [0, 0]]]")
    assert said[board - 3 : board] == [
        "`about` shows all that the environment says about itself.",
        "`help` shows the actions, `look` what you see, `quit` or Ctrl-D ends.",
        "",
    ]
    assert said[board + 1] == "It is the turn of ann."
    assert "Three in a row." in said[:board]
    assert "Nobody has ever won." not in said[:board]
    assert "Nobody has ever won." in said[board:]


def test_what_an_environment_tells_does_not_steer_the_terminal(typed, tmp_path) -> None:
    """An environment could clear the screen, or show its text in another order."""
    said = typed("play", "my_game_for_tests:Cheater", "--parameter", "colour=red", stdin="go\n").out
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "[2J8 lives" in said
    styled = shown(
        tmp_path, 80, "env", "play", "my_game_for_tests:Cheater", "--parameter", "colour=1", "--help"
    )
    assert "Ctrl-D ends" in styled


def test_the_worst_that_is_typed_ends_nothing() -> None:
    """Bytes that are no text would end the game with a traceback."""
    argv = [sys.executable, "-P", "-m", "client", "env", "play", "maze", "--seed", "1"]
    done = subprocess.run(argv, input=b"move \xff\xfe\neast\n", capture_output=True, timeout=100, check=False)
    assert done.returncode in (0, 1), done
    assert b"Traceback" not in done.stderr
