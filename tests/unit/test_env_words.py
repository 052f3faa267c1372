"""What people type when they play, and what it means."""

from contextlib import suppress

import pytest

from client.cli.env_words import understood
from shiftwork.environments.protocol import ActionDefinition
from shiftwork.environments.trajectory import Choice
from shiftwork.errors import InvalidInput

WAYS = {"type": "string", "enum": ["north", "south"]}
ACTIONS = [
    ActionDefinition(name="guess", parameters={"number": {"type": "integer"}}),
    ActionDefinition(name="move", parameters={"direction": WAYS, "steps": {"type": "integer", "default": 1}}),
    ActionDefinition(name="say", parameters={"text": {"type": "string"}}),
    ActionDefinition(name="set", parameters={"lamp": {"type": "string"}, "on": {"type": "boolean"}}),
    ActionDefinition(name="Rest"),
]


@pytest.mark.parametrize(
    ("typed", "action", "parameters"),
    [
        ("guess 50", "guess", {"number": 50}),
        ("  GUESS   50 ", "guess", {"number": 50}),
        ("g 50", "guess", {"number": 50}),
        ("guess number=50", "guess", {"number": 50}),
        ('guess {"number": 50}', "guess", {"number": 50}),
        ('{"action": "guess", "parameters": {"number": 50}}', "guess", {"number": 50}),
        ("guess fifty", "guess", {"number": "fifty"}),
        ("move north", "move", {"direction": "north"}),
        ("move NORTH 3", "move", {"direction": "north", "steps": 3}),
        ("m n", "move", {"direction": "north"}),
        ("move steps=2 south", "move", {"direction": "south", "steps": 2}),
        ("say hello there", "say", {"text": "hello there"}),
        ("say it's me", "say", {"text": "it's me"}),
        ("say 'a b'", "say", {"text": "a b"}),
        ("say 50", "say", {"text": "50"}),
        ("set lamp yes", "set", {"lamp": "lamp", "on": True}),
        ("set 'the big lamp' off", "set", {"lamp": "the big lamp", "on": False}),
        ("rest", "Rest", {}),
        ("r", "Rest", {}),
    ],
)
def test_what_is_meant_is_done(typed, action, parameters) -> None:
    """A person would have to write JSON to play."""
    assert understood(typed, ACTIONS) == Choice(action=action, parameters=parameters)


def test_a_name_may_be_left_out_where_it_is_clear() -> None:
    """Whoever walks through a maze would write `move` again and again."""
    assert understood("north", ACTIONS[:2]) == Choice(action="move", parameters={"direction": "north"})
    assert understood("7", ACTIONS[:2]) == Choice(action="guess", parameters={"number": 7})
    assert understood('{"number": 7}', ACTIONS[:1]) == Choice(action="guess", parameters={"number": 7})


def test_what_does_not_fit_the_one_action_there_is_says_why() -> None:
    """Whoever walks against a wall would read that there is no such way at all, and not which there are."""
    with pytest.raises(InvalidInput) as error:
        understood("west", ACTIONS[1:2])
    assert str(error.value) == (
        "'west' is no action now; there are: move. Taken as that: parameter 'direction' of action 'move': "
        "'west' is not one of ['north', 'south']."
    )
    with pytest.raises(InvalidInput, match=r"there are: Rest\. Taken as that: .* is too much\.$"):
        understood("west", ACTIONS[-1:])


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("s x", "'s' can mean say, set; write more of it."),
        ("dance", "'dance' is no action now; there are: guess, move, set, Rest."),
        ("rest now", "'Rest' takes nothing; 'now' is too much."),
        ("guess {50", "what stands after 'guess' is no JSON"),
        ("{50", "this is no JSON"),
        ('{"number": 50}', 'write {"action": NAME'),
        ('{"action": 5}', 'write {"action": NAME'),
        ("guess {1: 2}", "is no JSON"),
        ("guess [", ""),
    ],
)
def test_what_means_nothing_is_said(typed, why) -> None:
    """A typing mistake would cost a step, or end the game."""
    actions = [each for each in ACTIONS if each.name != "say"] if typed == "dance" else ACTIONS
    if not why:
        assert understood(typed, actions).parameters == {"number": "["}
        return
    with pytest.raises(InvalidInput) as error:
        understood(typed, actions)
    assert why in str(error.value)


@pytest.mark.parametrize(
    "typed", ["{}", "[1]", "@", "\x00", "guess " + "(" * 10_000, "'", '{"a": NaN}', "= ="]
)
def test_nothing_that_is_typed_ends_the_game(typed) -> None:
    """A cat on the keyboard would end it with a traceback."""
    with suppress(InvalidInput):
        understood(typed, ACTIONS)


@pytest.mark.parametrize("typed", ["guess number=5 number=6", "set lamp=a lamp=b on=no"])
def test_what_is_given_twice_is_not_guessed_at(typed) -> None:
    """One of two values would be played, and the person would not know which."""
    with pytest.raises(InvalidInput, match="is given twice; write it once"):
        understood(typed, ACTIONS)


def test_a_file_is_handed_in(tmp_path) -> None:
    """Nobody could hand in a program of several lines."""
    file = tmp_path / "solution.py"
    file.write_text("def f():\n    return 1\n")
    assert understood(f"say @{file}", ACTIONS).parameters == {"text": file.read_text()}
    with pytest.raises(InvalidInput, match="can't be read: No such file or directory"):
        understood(f"say @{tmp_path}/nowhere", ACTIONS)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="it is no text in UTF-8"):
        understood(f"say @{file}", ACTIONS)
