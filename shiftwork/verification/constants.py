"""Single commands whose end is known before they run: what they yield whatever the project holds."""

import ast
import os.path
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_SAYING: Final = frozenset({"echo", "printf"})
_SUCCEEDING: Final = frozenset({":", "pwd", "sleep", "true"}) | _SAYING
_LISTING: Final = frozenset({"date", "dir", "hostname", "id", "ls", "uname", "whoami"})
"""They succeed on a folder that is always there, and say something different each time."""

_ENDING: Final = frozenset({"exit", "return"})
_TESTS: Final = frozenset({"[", "[[", "test"})
_SEARCHES: Final = frozenset({"egrep", "fgrep", "grep"})
_PYTHONS: Final = frozenset({"python", "python3"})
_ALWAYS_THERE: Final = frozenset({".", "..", "/"})
_ABOUT_FILES: Final = frozenset({"-a", "-d", "-e", "-r", "-x"})
"""Tests that hold for the folders that are always there."""


@dataclass(frozen=True, slots=True)
class End:
    """How a command ends.

    Attributes:
        status: its exit status; None: that depends.
        silent: whether what it says is always the same, or nothing.
    """

    status: int | None = None
    silent: bool = False


DEPENDS: Final = End()


def is_ending(words: Sequence[str]) -> bool:
    """Whether this ends the whole script."""
    return bool(words) and words[0] in _ENDING


def end_of(words: Sequence[str]) -> End:  # noqa: PLR0911 - a table
    """How a simple command ends, without assignments and redirections; `words` is not empty."""
    name, rest = words[0].rpartition("/")[2], words[1:]
    literal = not any("$" in word for word in rest)
    if name in _SUCCEEDING:
        return End(0, silent=literal or name not in _SAYING)
    if name == "false":
        return End(1, silent=True)
    if name in _ENDING:
        status = rest[0] if rest else "0"
        return End(int(status), silent=True) if status.isdecimal() else End(silent=True)
    if name in _TESTS:
        return End(_tested(_operands(name, rest)) if literal else None, silent=True)
    if name in _SEARCHES:
        return End(silent=any(word in ("-q", "--quiet", "--silent") for word in rest))
    if name in _LISTING:
        there = all(word.startswith("-") or _is_always_there(word) for word in rest)
        return End(0) if there and literal else DEPENDS
    if name in _PYTHONS and len(rest) == 2 and rest[0] == "-c" and _is_idle(rest[1]):
        return End(0, silent=True)
    return DEPENDS


def _operands(name: str, words: Sequence[str]) -> Sequence[str]:
    return words[:-1] if name != "test" and words[-1:] in (["]"], ["]]"]) else words


def _tested(operands: Sequence[str]) -> int | None:  # noqa: PLR0911 - a table
    """The status of `test` with these; None if it looks at something, or is more than one test."""
    match list(operands):
        case ["!", *rest] if rest:
            status = _tested(rest)
            return None if status is None else int(status == 0)
        case []:
            return 1
        case [word]:
            return int(not word)
        case ["-n", word]:
            return int(not word)
        case ["-z", word]:
            return int(bool(word))
        case [about, path] if about in _ABOUT_FILES and _is_always_there(path):
            return 0
        case [left, "=" | "==", right]:
            return int(left != right)
        case [left, "!=", right]:
            return int(left == right)
        case [left, "-eq" | "-le" | "-ge", right] if left == right and left.isdecimal():
            return 0
        case _:
            return None


def _is_always_there(path: str) -> bool:
    return bool(path) and os.path.normpath(path) in _ALWAYS_THERE


def _is_idle(code: str) -> bool:
    """Whether Python code does nothing but say something fixed."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(_is_idle_statement(each) for each in tree.body)


def _is_idle_statement(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Expr(ast.Constant()):
            return True
        case ast.Import(names):
            return all(each.name == "sys" for each in names)
        case ast.Expr(ast.Call(ast.Name("print"), arguments, [])):
            return all(isinstance(each, ast.Constant) for each in arguments)
        case ast.Expr(ast.Call(ast.Name("exit") | ast.Attribute(ast.Name("sys"), "exit"), arguments, [])):
            return not arguments or (isinstance(arguments[0], ast.Constant) and arguments[0].value == 0)
        case ast.Assert(ast.Constant(value)):
            return bool(value)
        case _:
            return False
