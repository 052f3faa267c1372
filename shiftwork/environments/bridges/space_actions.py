"""The actions of a Gymnasium space, as players take them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import numpy as np
from gymnasium import spaces

from shiftwork.environments.bridges.spaces import from_json, schema_of
from shiftwork.environments.parameters import BadParameters, parameter_schema
from shiftwork.environments.protocol import ActionDefinition
from shiftwork.environments.sharing import NeverChanges
from shiftwork.errors import InvalidInput

ACT: Final = "act"
"""The action of an environment whose actions have no names."""

_TAKEN: Final = frozenset({"self", "action"})
"""Names that no parameter can have, as `step` has them."""


class SpaceActions(NeverChanges):
    """What can be done in an environment with such an action space.

    A `Discrete` space whose actions have names offers each by its name, without parameters. Any other has one
    action, `act`: its parameters are the parts of a `Dict`, or else `value` alone.

    Args:
        names: of the actions of a `Discrete` space, in its order.

    Raises:
        InvalidInput: the names don't fit, or the actions can't be written as JSON.
    """

    def __init__(self, space: spaces.Space[Any], names: Sequence[str] | None = None) -> None:
        self._space = space
        self._names = None if names is None else _fitting(space, names)
        self._schema = schema_of(space)
        spread = isinstance(space, spaces.Dict) and not _TAKEN & self._schema["properties"].keys()
        self._one = not spread
        try:
            for each in self.definitions():
                parameter_schema(each)
        except BadParameters as error:  # such as an empty `Tuple`
            raise InvalidInput(f"actions of the space {space} can't be written as JSON: {error}") from None

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: it never changes."""
        return self

    def definitions(self, mask: Any = None) -> list[ActionDefinition]:
        """The actions; of a `Discrete` space only those that a mask allows, if one is given."""
        allowed = self._allowed(mask)
        if self._names is not None:
            return [
                ActionDefinition(name=name)
                for place, name in enumerate(self._names)
                if allowed is None or place in allowed
            ]
        schema = schema_of(self._space)  # each caller gets one of its own
        if allowed is not None and isinstance(self._space, spaces.Discrete):
            schema = {"type": "integer", "enum": [int(self._space.start) + place for place in allowed]}
        return [ActionDefinition(name=ACT, parameters={"value": schema} if self._one else schema)]

    def taken(self, action: str, parameters: Mapping[str, Any]) -> Any:
        """An action as the environment takes it.

        Raises:
            InvalidInput: the space does not contain it.
        """
        if self._names is not None:
            assert isinstance(self._space, spaces.Discrete), "checked when the names were given"
            return from_json(self._space, self._space.start + self._names.index(action))
        value = from_json(self._space, parameters["value"] if self._one else parameters)
        if not self._space.contains(value):
            raise InvalidInput(f"the action is not in the space {self._space}; choose one that is")
        return value

    def _allowed(self, mask: Any) -> list[int] | None:
        if not isinstance(self._space, spaces.Discrete) or mask is None:
            return None
        flags = np.asarray(mask)
        return np.flatnonzero(flags).tolist() if flags.shape == (self._space.n,) and flags.any() else None


def _fitting(space: spaces.Space[Any], names: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(space, spaces.Discrete):
        raise InvalidInput(f"names of actions were given, and the action space is {space}; leave them out")
    if len(names) != space.n or len(set(names)) != space.n:
        raise InvalidInput(f"{len(names)} names of actions were given; give {space.n} that all differ")
    return tuple(names)
