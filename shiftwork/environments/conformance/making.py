"""What makes the instances that are held against the rules."""

import copy
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.conformance.holding import changed, hold
from shiftwork.environments.conformance.wording import RAISED
from shiftwork.environments.registry import make_environment
from shiftwork.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class ByName:
    """Makes an environment by its name, which other processes can do as well.

    Attributes:
        environment: as `make_environment` takes it.
        parameters: with which it is made; JSON values.
    """

    environment: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> BaseHarness:
        """Another one."""
        return make_environment(self.environment, self.parameters)


@dataclass(frozen=True, slots=True)
class Maker:
    """How fresh instances are made.

    Attributes:
        make: makes one.
        shared: why `make` gives the same one each time, where it does.
        by_name: how another process makes one; None: it can't.
    """

    make: Callable[[], BaseHarness]
    shared: str | None = None
    by_name: ByName | None = None


def maker(environment: BaseHarness | Callable[[], BaseHarness]) -> Maker:
    """What makes fresh instances.

    Raises:
        InvalidInput: it is no environment, and makes none.
    """
    if not isinstance(environment, BaseHarness):
        if not callable(environment):
            raise InvalidInput(f"{environment!r} is no environment; give a BaseHarness, or what makes one")
        named = environment if isinstance(environment, ByName) else _name_of(environment)
        return Maker(environment, by_name=named)
    try:
        another = type(environment)()  # type: ignore[call-arg] # whether it takes none is what is tried
    except RAISED:
        another = None
    if type(another) is type(environment) and changed(environment, hold(another)) is None:
        return Maker(type(environment), by_name=_name_of(type(environment)))
    try:
        pristine = copy.deepcopy(environment)
        copy.deepcopy(pristine)
    except RAISED:
        reason = "the instance can't be copied, so no fresh one could be made; give check_harness its class"
        return Maker(lambda: environment, shared=reason)
    return Maker(lambda: copy.deepcopy(pristine))


def _name_of(factory: object) -> ByName | None:
    """Where a module of its own leads to a class or a function, its name."""
    module, path = getattr(factory, "__module__", None), getattr(factory, "__qualname__", "")
    if module not in sys.modules or module == "__main__" or not path.replace(".", "_").isidentifier():
        return None
    found: object = sys.modules[module]
    for part in path.split("."):
        found = getattr(found, part, None)
    return ByName(f"{module}:{path}") if found is factory else None
