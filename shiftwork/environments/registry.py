"""Which environments there are: ours, those that other packages bring, and any class by its path."""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Final

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.bridges.extras import MissingExtra
from shiftwork.environments.failures import is_failure, said
from shiftwork.environments.option_types import check_option_types
from shiftwork.errors import EnvironmentFailed, InvalidInput, NotFound, ShiftworkError
from shiftwork.text import one_line, truncate

GROUP: Final = "shiftwork.environments"
"""The group of entry points. Each is named as people call the environment, and leads to what makes it: a
class or a function that takes its parameters by name and returns a `BaseHarness`."""

_EXAMPLES: Final = f"{__package__}.examples"
OURS: Final = (
    EntryPoint("coding_challenge", f"{_EXAMPLES}.coding_challenge:CodingChallengeHarness", GROUP),
    EntryPoint("connect_four", f"{_EXAMPLES}.connect_four:ConnectFourHarness", GROUP),
    EntryPoint("inventory", f"{_EXAMPLES}.inventory:InventoryHarness", GROUP),
    EntryPoint("maze", f"{_EXAMPLES}.maze:MazeHarness", GROUP),
    EntryPoint("number_guess", f"{_EXAMPLES}.number_guess:NumberGuessHarness", GROUP),
    EntryPoint("text_adventure", f"{_EXAMPLES}.text_adventure:TextAdventureHarness", GROUP),
)
"""Found also where an older version was installed; their names are nobody else's."""

_BRIDGES: Final = f"{__package__}.bridges"
BRIDGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "gymnasium": f"{_BRIDGES}.gymnasium:GymnasiumHarness",
        "pettingzoo": f"{_BRIDGES}.pettingzoo:PettingZooHarness",
        "reasoning-gym": f"{_BRIDGES}.reasoning_gym:ReasoningGymHarness",
        "textworld": f"{_BRIDGES}.textworld:TextWorldHarness",
    }
)
"""Other packages that bring environments, and what makes one of theirs, which takes its name first. So
`gymnasium/CartPole-v1` is the environment that Gymnasium calls `CartPole-v1`."""

Factory = Callable[..., BaseHarness]


@dataclass(frozen=True, slots=True)
class FoundEnvironments:
    """What was found.

    Attributes:
        factories: what makes each environment, by its name.
        problems: a sentence on each that can't be used.
    """

    factories: Mapping[str, Factory]
    problems: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Every name, in order."""
        return tuple(sorted(self.factories))


def find_environments(installed: Iterable[EntryPoint] | None = None) -> FoundEnvironments:
    """Look for environments, and import each; one that can't be loaded is a problem, and nothing else.

    Args:
        installed: entry points of the group; None: those of this Python environment.
    """
    entries, problems = _entries(installed)
    factories: dict[str, Factory] = {}
    for name, entry in entries.items():
        try:
            factories[name] = _load(entry)
        except InvalidInput as error:
            problems.append(str(error))
    return FoundEnvironments(factories, tuple(problems))


def check_name(name: str, *, by_path: bool = True, installed: Iterable[EntryPoint] | None = None) -> None:
    """Do nothing where there may be an environment of this name; nothing of it is imported.

    Args:
        by_path: whether who is told of the names that there are may also give the path of a class.
        installed: as for `find_environments`.

    Raises:
        NotFound: there is none.
        InvalidInput: it is no name of one.
    """
    _entry(name, installed, by_path=by_path)


def load_environment(name: str, *, installed: Iterable[EntryPoint] | None = None) -> Factory:
    """What makes an environment: one that `find_environments` knows, or any as `module:Class`.

    Raises:
        NotFound: there is none of that name.
        InvalidInput: it can't be loaded.
    """
    return _load(_entry(name, installed))


def make_environment(
    name: str, parameters: Mapping[str, Any] | None = None, *, installed: Iterable[EntryPoint] | None = None
) -> BaseHarness:
    """Make an environment; nothing else is imported for it.

    Args:
        name: one that `find_environments` knows, `module:Class` for any that can be imported, or, for one of
            another package, the name of its bridge before its own: `gymnasium/CartPole-v1`; see `BRIDGES`.
        parameters: what its class or function takes.
        installed: as for `find_environments`.

    Raises:
        NotFound: there is none of that name.
        InvalidInput: it can't be loaded, or does not take these parameters.
        EnvironmentFailed: it could not be made.
    """
    factory = load_environment(name, installed=installed)
    given = dict(parameters or {})
    _check_parameters(name, factory, given)
    try:
        made = factory(**given)
    except ShiftworkError:
        raise
    except BaseException as error:  # whatever people's code raises
        if not is_failure(error):
            raise
        raise EnvironmentFailed(f"environment {name!r} could not be made: {_why(error)}") from error
    if not isinstance(made, BaseHarness):
        raise InvalidInput(
            f"environment {name!r} is no BaseHarness but a {type(made).__name__}; name a class derived from "
            "BaseHarness, or a function that returns one"
        )
    return made


class _Bridged(EntryPoint):
    """Leads to the environments of another package; its name says which of them."""

    def load(self) -> Factory:
        return functools.partial(super().load(), self.name.partition("/")[2])


def _entry(name: str, installed: Iterable[EntryPoint] | None, *, by_path: bool = True) -> EntryPoint:
    bridge, slash, theirs = name.partition("/")
    if slash and bridge in BRIDGES:
        if not theirs:
            raise InvalidInput(f"environment {name!r} names none of {bridge}'s; write its name after the '/'")
        return _Bridged(name, BRIDGES[bridge], GROUP)
    if ":" in name:
        entry = EntryPoint(name, name, GROUP)
        if entry.pattern.match(name) is None:
            raise InvalidInput(f"environment {name!r} is no path of a class; write it as 'module:Class'")
        return entry
    entries, _ = _entries(installed)
    if name not in entries:
        paths = "any class by its path, as 'module:Class', " if by_path else ""
        raise NotFound(
            f"there is no environment {truncate(name, 100)!r}; there are: {', '.join(sorted(entries))}, "
            f"{paths}and those of {', '.join(BRIDGES)} by their names, "
            f"as '{next(iter(BRIDGES))}/NAME'"
        )
    return entries[name]


def _entries(installed: Iterable[EntryPoint] | None) -> tuple[dict[str, EntryPoint], list[str]]:
    others = entry_points(group=GROUP) if installed is None else installed
    ours = {(entry.name, entry.value) for entry in OURS}
    others = (entry for entry in others if (entry.name, entry.value) not in ours)
    entries: dict[str, EntryPoint] = {}
    problems = []
    for entry in (*OURS, *sorted(others, key=lambda entry: (entry.name, entry.value))):
        if entry.name in entries:
            problems.append(f"environment {_said(entry)} is not used: its name is taken")
        else:
            entries[entry.name] = entry
    return entries, problems


def _load(entry: EntryPoint) -> Factory:
    try:
        factory: Factory = entry.load()
    except MissingExtra:
        raise
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"environment {_said(entry)} can't be loaded: {_why(error)}{_hint(entry, error)}"
        ) from error
    except BaseException as error:  # whatever people's code raises
        if not is_failure(error):
            raise
        raise InvalidInput(f"environment {_said(entry)} can't be loaded: {_why(error)}") from error
    if not callable(factory):
        raise InvalidInput(
            f"environment {_said(entry)} can't be loaded: it is neither a class nor a function"
        )
    return factory


def _hint(entry: EntryPoint, error: ModuleNotFoundError) -> str:
    """What to do about a path whose module is not there, to be put behind a sentence."""
    if entry.name != entry.value or error.name not in (entry.module, entry.module.partition(".")[0]):
        return ""
    return (
        "; install it where it is played, or put its folder on PYTHONPATH there (where workers play, before "
        "`shiftwork dev` or the worker is started)"
    )


def _check_parameters(name: str, factory: Factory, given: Mapping[str, Any]) -> None:
    try:
        signature = inspect.signature(factory)
    except ValueError:  # some classes of extension modules tell none
        return
    try:
        signature.bind(**given)
    except TypeError as error:
        takes = ", ".join(str(each) for each in signature.parameters.values()) or "none"
        raise InvalidInput(
            f"environment {name!r} does not take these parameters: {error}; it takes: {takes}"
        ) from None
    check_option_types(name, factory, given)


def _said(entry: EntryPoint) -> str:
    told = [entry.value] if entry.value != entry.name else []
    told += [f"of {entry.dist.name}"] if entry.dist else []
    return f"{entry.name!r}" + (f" ({' '.join(told)})" if told else "")


def _why(error: BaseException) -> str:
    return one_line(truncate(f"{type(error).__name__}: {said(error)}", 500)).rstrip(".")
