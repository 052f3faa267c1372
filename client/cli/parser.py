"""The parser, built from the table of commands."""

import argparse
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from client.cli.command import Argument, Command
from client.cli.exits import MEANINGS, USAGE
from client.cli.helping import HelpFormatter
from client.cli.table import COMMANDS, GROUPS

_DESCRIPTION = "Long software projects with AI agents that forget everything between sessions, made durable."

_ENVIRONMENT = """\
environment:
  SHIFTWORK_STATE         the folder of the stack's state (default: .shiftwork here, or above)
  SHIFTWORK_DATABASE_URL  an external PostgreSQL
  TEMPORAL_ADDRESS        an external Temporal (and the rest of Temporal's environment configuration)
  SHIFTWORK_TRACEBACK     1: show where an unexpected error came from
  NO_COLOR                plain output"""


class BriefParser(ArgumentParser):
    """A parser whose errors are one sentence, and where to read more."""

    def error(self, message: str) -> NoReturn:
        """End with status 2."""
        self.exit(USAGE, f"error: {_hint(message) or message}; see `{self.prog} --help`.\n")


class CommandParser(BriefParser):
    """The parser of one command: options may stand before, between and after its positional arguments."""

    passes_on = False
    has_actions = False
    _intermixing = False

    def parse_known_args(  # type: ignore[override]  # typeshed's overloads say the same more precisely
        self, args: Sequence[str] | None = None, namespace: Namespace | None = None
    ) -> tuple[Namespace, list[str]]:
        """Parse; whatever is left over is an error of this command, with its own usage."""
        if self.passes_on and args and args[0] not in ("-h", "--help"):
            return Namespace(**vars(namespace or Namespace()), **self._defaults, rest=list(args)), []
        if self._intermixing or self.has_actions:  # argparse's own two passes come through here
            return super().parse_known_args(args, namespace)
        self._intermixing = True
        try:
            parsed, extra = self.parse_known_intermixed_args(args, namespace)
        finally:
            self._intermixing = False
        if extra:
            self.error(f"unrecognized arguments: {' '.join(extra)}")
        return parsed, []


def build_parser() -> ArgumentParser:
    """The parser of the whole command line; `handler` of what it returns names the chosen function."""
    parser = BriefParser(
        prog="shiftwork",
        description=_DESCRIPTION,
        epilog=f"{_ENVIRONMENT}\n\n{_exit_codes()}\n\n`shiftwork COMMAND --help` explains a command.",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True, parser_class=CommandParser
    )
    groups: dict[str, argparse._SubParsersAction[CommandParser]] = {}
    for command in COMMANDS:
        group, _, action = command.name.partition(" ")
        if not action:
            _add(commands, command, command.name)
            continue
        if group not in groups:
            groups[group] = _group(commands, group)
        _add(groups[group], command, action)
    return parser


def _group(
    commands: "argparse._SubParsersAction[CommandParser]", name: str
) -> "argparse._SubParsersAction[CommandParser]":
    """Where the actions of a noun are added."""
    parser = commands.add_parser(
        name,
        help=GROUPS[name],
        description=f"{GROUPS[name][0].upper()}{GROUPS[name][1:]}.",
        epilog=f"`shiftwork {name} ACTION --help` explains an action.",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.has_actions = True
    return parser.add_subparsers(
        title="actions", dest="action", metavar="ACTION", required=True, parser_class=CommandParser
    )


def _add(commands: "argparse._SubParsersAction[CommandParser]", command: Command, name: str) -> None:
    parser = commands.add_parser(
        name,
        help=command.help,
        description=f"{command.help[0].upper()}{command.help[1:]}.",
        epilog="\n\n".join(filter(None, (command.details, f"example:\n{_indented(command.example)}"))),
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(handler=command.handler)
    parser.passes_on = command.passes_on
    for each in command.arguments:
        add_argument(parser, each)


def add_argument(parser: ArgumentParser, each: Argument) -> Any:
    """Add an argument to argparse's parser; returns argparse's action."""
    action = parser.add_argument(*each.names, **each.options)
    if each.completes is not None:
        # What shtab's FILE and DIRECTORY are, without importing it for every command.
        files = each.completes == "file"
        action.complete = (  # type: ignore[attr-defined]  # shtab's protocol is an attribute
            {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}
            if files
            else {"bash": "_shtab_compgen_dirs", "zsh": "_files -/", "tcsh": "d"}
        )
    return action


def _hint(message: str) -> str:
    """What was meant, in the place of a list of all commands; empty for any other error."""
    found = re.match(r"argument (COMMAND|ACTION): invalid choice: '(.*?)'", message)
    if found is None or found[1] == "ACTION":
        return ""
    name = found[2]
    names = list(dict.fromkeys(command.name.partition(" ")[0] for command in COMMANDS))
    close = {"help": ["--help"], "version": ["--version"]}.get(name) or get_close_matches(name, names, 1)
    return f"there is no command {name!r}" + "".join(f"; did you mean `shiftwork {each}`?" for each in close)


class _Version(argparse.Action):
    """Prints the version; looked up only then, since reading package metadata takes a while."""

    def __call__(self, parser: ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version  # noqa: PLC0415 - see above

        print(f"shiftwork {version('shiftwork')}")
        parser.exit()


def _exit_codes() -> str:
    return "exit status:\n" + "\n".join(
        f"  {code:>3}  {' '.join(meaning.split())}" for code, meaning in MEANINGS
    )


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
