"""What belongs to another package, and is not copied with what holds it."""

from typing import Any, Generic, NoReturn, Self, TypeVar

from shiftwork.environments.sharing import MadeAgain, NeverChanges

_Thing = TypeVar("_Thing")


class Uncopied(MadeAgain, Generic[_Thing]):
    """Holds an object that a copy would not hold as it is.

    Environments of other packages often copy themselves by making another one (`EzPickle`), as it is before
    its first episode. An environment that holds one is not copied before each step, but made again from its
    seed and the actions taken where that is needed.
    """

    def __init__(self, thing: _Thing) -> None:
        self.thing = thing

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        """Refuse."""
        raise TypeError(f"a {type(self.thing).__name__} is not copied, but played again")


class Constant(NeverChanges, Generic[_Thing]):
    """Holds an object that never changes, so that copies share it."""

    def __init__(self, thing: _Thing) -> None:
        self.thing = thing

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself."""
        return self
