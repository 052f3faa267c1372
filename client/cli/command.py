"""What the table of commands is made of."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Completes = Literal["file", "directory"]


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a command.

    Attributes:
        names: one name of a positional argument, or the flags of an option.
        options: what `argparse.ArgumentParser.add_argument` takes besides.
        completes: what the shell offers for it.
    """

    names: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    completes: Completes | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    Attributes:
        handler: `module:function`, imported when the command is chosen; takes the parsed arguments and
            returns the exit status.
        example: command lines that work as they are, shown by `--help`.
        passes_on: whether its arguments are another program's: they are not parsed, and `rest` holds them.
    """

    name: str
    help: str
    handler: str
    example: str
    arguments: tuple[Argument, ...] = ()
    details: str = ""
    passes_on: bool = False


def argument(*names: str, completes: Completes | None = None, **options: Any) -> Argument:
    """An argument, written as for argparse."""
    return Argument(names, options, completes)


def switch(name: str, text: str) -> Argument:
    """An option without a value."""
    return Argument((name,), {"action": "store_true", "help": text})


def number(name: str, text: str, kind: Callable[[str], Any], metavar: str = "N") -> Argument:
    """An option whose value is a number."""
    return Argument((name,), {"type": kind, "metavar": metavar, "help": text})
