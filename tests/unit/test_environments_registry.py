"""Environments by name: ours, those of other packages, and any class by its path."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from shiftwork.environments import ActionDefinition, BaseHarness, Observation
from shiftwork.environments.registry import GROUP, OURS, find_environments, make_environment
from shiftwork.errors import EnvironmentFailed, InvalidInput, NotFound


class Room(BaseHarness):
    """Takes parameters, and can refuse them."""

    def __init__(self, size=3, *, colour="white"):
        super().__init__("room")
        if size == 0:
            raise InvalidInput("the size of a room is 0; give at least 1")
        self.size = 10 // (size - 1)
        self.colour = colour

    async def reset(self):
        return Observation()

    async def step(self, action, **parameters):
        raise NotImplementedError

    def get_action_space(self):
        return [ActionDefinition(name="wait")]


def no_room():
    """Makes what is no environment."""
    return object()


NOT_CALLABLE = 3
HERE = f"{__name__}:"


def entry(name, value):
    return EntryPoint(name, value, GROUP)


def test_an_environment_of_another_package_is_found_by_its_name():
    """Packages could otherwise bring none."""
    installed = [entry("room", HERE + "Room")]

    made = make_environment("room", {"size": 6, "colour": "red"}, installed=installed)

    assert (made.size, made.colour) == (2, "red")
    assert "room" in find_environments(installed).names


def test_any_class_is_found_by_its_path():
    """People would otherwise have to package an environment before they can try it."""
    assert isinstance(make_environment(HERE + "Room"), Room)


def test_what_cannot_be_loaded_is_told_and_hides_nothing():
    """One broken package would otherwise take all environments away."""
    installed = [
        entry("absent", "no_such_module_anywhere:Thing"),
        entry("attribute", HERE + "Nothing"),
        entry("number", HERE + "NOT_CALLABLE"),
        entry(OURS[0].name, HERE + "Room"),
        entry("room", HERE + "Room"),
    ]

    found = find_environments(installed)

    assert found.factories["room"] is Room
    told = "\n".join(found.problems)
    assert "'absent' (no_such_module_anywhere:Thing) can't be loaded: ModuleNotFoundError" in told
    assert "'attribute'" in told
    assert "'number'" in told
    assert "neither a class nor a function" in told
    assert f"{OURS[0].name!r} ({HERE}Room) is not used: its name is taken" in told
    assert found.factories.get(OURS[0].name) is not Room


@pytest.mark.parametrize(
    ("name", "parameters", "kind", "said"),
    [
        ("nowhere", {}, NotFound, "no environment 'nowhere'.*number_guess.*module:Class"),
        ("no such:path of", {}, InvalidInput, "write it as 'module:Class'"),
        ("no_such_module:Thing", {}, InvalidInput, "ModuleNotFoundError.*or put its folder on PYTHONPATH"),
        (HERE + "no_room", {}, InvalidInput, "no BaseHarness but a object"),
        (HERE + "NOT_CALLABLE", {}, InvalidInput, "neither a class nor a function"),
        (HERE + "Room", {"sizes": 3}, InvalidInput, "unexpected.*'sizes'; it takes: size=3, colour='white'"),
        (HERE + "Room", {"size": 0}, InvalidInput, "size of a room is 0"),
        (HERE + "Room", {"size": 1}, EnvironmentFailed, "could not be made: ZeroDivisionError"),
    ],
    ids=["unknown", "path", "module", "other", "value", "parameter", "refused", "raises"],
)
def test_what_cannot_be_made_is_told_in_one_sentence(name, parameters, kind, said):
    """People would otherwise be shown a traceback of somebody else's code."""
    with pytest.raises(kind, match=said):
        make_environment(name, parameters)


def test_nothing_else_is_imported_to_make_one():
    """A broken or slow environment would otherwise cost everybody who plays another one."""
    code = (
        "import sys; from importlib.metadata import EntryPoint; "
        "from shiftwork.environments.registry import make_environment; "
        "installed = [EntryPoint('other', 'xmlrpc.server:SimpleXMLRPCServer', 'shiftwork.environments')]; "
        "made = make_environment('number_guess', installed=installed); "
        "print(made.name, 'xmlrpc.server' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True
    )

    assert done.stdout.split() == ["number_guess", "False"]


def test_ours_can_all_be_made():
    """A built-in environment that moved would otherwise be missed by whoever asks for it first."""
    found = find_environments(())

    assert found.problems == ()
    for name in found.names:
        assert isinstance(make_environment(name, installed=()), BaseHarness)
