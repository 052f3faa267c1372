"""Single commands whose end is known before they run: what they yield whatever the project holds."""

import ast
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from shiftwork.verification.tokens import Word

BUILT_IN: Final = frozenset({":", "[", "[[", "cd", "echo", "false", "printf", "test", "true"})
"""What the shell does itself: no variable changes how it ends."""

_FIXED: Final = MappingProxyType({":": 0, "false": 1, "true": 0})
_LISTING: Final = frozenset({"date", "hostname", "id", "ls", "pwd", "uname", "whoami"})
"""They succeed on a folder that is always there, and say something different each time."""

_FILTERS: Final = frozenset({"cat", "head", "sed", "sort", "tail", "tee", "tr", "uniq", "wc"})
"""They succeed on what they hear: `pytest | tail` does, however pytest ends."""

_HEARERS: Final = MappingProxyType(
    {
        "sed": re.compile(r"(-[nu] )?s/[\w :=-]+/[\w :=-]*/g?|-n [0-9]{1,4}(,[0-9]{1,4})?p"),
        "sort": re.compile(r"((-[fnru]{1,4} )*-[fnru]{1,4})?"),
        "tee": re.compile(r"(-a )?(/dev/null|[\w-]+\.(log|out|txt))|"),
        "tr": re.compile(r"-d [\w:]+|[\w-]+ [\w-]+"),
        "uniq": re.compile(r"((-[cdiu] )*-[cdiu])?"),
    }
)
"""With these arguments they succeed, too."""

_SEARCHES: Final = frozenset({"egrep", "fgrep", "grep"})
_PYTHONS: Final = frozenset({"python", "python3"})
_ALWAYS_THERE: Final = frozenset({"/bin", "/dev", "/etc", "/tmp", "/usr"})  # noqa: S108 - one is named, none is used
_ABOUT_FOLDERS: Final = frozenset({"-d", "-e", "-r", "-x"})
"""Tests that hold for the folders that are always there."""

_FLAGS: Final = frozenset({"-B", "-E", "-I", "-s", "-u"})
"""Of Python; they change nothing of code that does nothing."""

_ALWAYS_LOADED: Final = frozenset({"builtins", "io", "os", "sys", "time"})
"""Modules that no file of a project's can stand in for."""

_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_QUIET: Final = re.compile(r"-[EFGPiswx]*q[EFGPiqswx]*|--quiet|--silent")
_OPTION: Final = re.compile(r"-[A-Za-z1]+")
_AMOUNT: Final = re.compile(r"-[A-Za-z]{0,2}[0-9]{0,9}")
_SECONDS: Final = re.compile(r"[0-9]{1,5}(\.[0-9]{1,5})?[smh]?")
_PLAIN_FORMAT: Final = re.compile(r"([^%-]|%%|%s)([^%]|%%|%s)*")
_NUMBER_AND_WORD: Final = re.compile(r"(?<!\w)[0-9][\w.]*(?:and|else|for|if|in|is|not|or)\b")
_RELATIONS: Final = MappingProxyType(
    {
        "-eq": operator.eq,
        "-ge": operator.ge,
        "-gt": operator.gt,
        "-le": operator.le,
        "-lt": operator.lt,
        "-ne": operator.ne,
    }
)
_STATUS: Final = re.compile(r"[0-9]{1,3}")

_MOST_STATUS: Final = 255
_MOST_OPERANDS: Final = 4
"""Of `test`; what more of them mean is nowhere settled."""


@dataclass(frozen=True, slots=True)
class End:
    """How a command ends.

    Attributes:
        status: its exit status; None: that depends.
        said: stands for what it says, and differs wherever that does; None: that depends.
    """

    status: int | None = None
    said: str | None = None


DEPENDS: Final = End()


def end_of(name: str, rest: Sequence[Word]) -> End:  # noqa: PLR0911 - a table
    """How a simple command ends, without assignments and redirections, in the environment of the step."""
    texts = [word.text for word in rest]
    literal = all(word.literal for word in rest)
    if name in _FIXED:
        return End(_FIXED[name], "")
    if name == "echo":
        return End(0, f"{' '.join(texts)}\n" if literal else None)
    if name in ("test", "[", "[["):
        return End(_tested(name, texts) if literal else None, "")
    if name in _SEARCHES:
        return End(said="" if texts and _QUIET.fullmatch(texts[0]) else None)
    if not literal:
        return DEPENDS
    if name == "printf":
        return End(0, repr(texts)) if texts and _PLAIN_FORMAT.fullmatch(texts[0]) else DEPENDS
    if name in ("cd", "sleep"):
        return End(0, "") if _changes_nothing(name, texts) else DEPENDS
    if name in _FILTERS:
        return End(0) if _hears_only(name, texts) else DEPENDS
    if name in _LISTING:
        return End(0) if all(_lists_nothing(name, text) for text in texts) else DEPENDS
    return _end_of_python(texts) if name in _PYTHONS else DEPENDS


def status_of(text: str) -> int | None:
    """The status that `exit` is given; None: it is no such number."""
    if not _STATUS.fullmatch(text) or int(text) > _MOST_STATUS:
        return None
    return int(text)


def _changes_nothing(name: str, texts: Sequence[str]) -> bool:
    if name == "cd":
        return list(texts) in (["."], ["./"])
    return len(texts) == 1 and _SECONDS.fullmatch(texts[0]) is not None


def _hears_only(name: str, texts: Sequence[str]) -> bool:
    """Whether these are options, and no files but those that anybody can write."""
    if known := _HEARERS.get(name):
        return known.fullmatch(" ".join(texts)) is not None
    pairs = zip(["", *texts], texts, strict=False)
    return all(
        _AMOUNT.fullmatch(text)
        or (name in ("head", "tail") and before in ("-c", "-n") and _NUMBER.fullmatch(text))
        for before, text in pairs
    )


def _lists_nothing(name: str, text: str) -> bool:
    """Whether an argument leaves a listing without anything of the project to fail on."""
    if name == "date":
        return text.startswith("+") or text == "-u"
    return _OPTION.fullmatch(text) is not None or (name == "ls" and _is_always_there(text))


def _tested(name: str, operands: Sequence[str]) -> int | None:
    """The status of `test` with these; None if it looks at something, or is more than one test."""
    if name != "test":
        if operands[-1:] != ["]" * len(name)]:
            return None
        operands = operands[:-1]
    if len(operands) > _MOST_OPERANDS:
        return None
    holds = _holds(operands)
    if holds is None and operands[:1] == ["!"]:
        holds = _holds(operands[1:])
        holds = None if holds is None else not holds
    return None if holds is None else int(not holds)


def _holds(operands: Sequence[str]) -> bool | None:  # noqa: PLR0911 - a table
    match list(operands):
        case []:
            return False
        case [word]:
            return bool(word)
        case ["-n", word]:
            return bool(word)
        case ["-z", word]:
            return not word
        case [about, path] if about in _ABOUT_FOLDERS and _is_always_there(path):
            return True
        case ["!" | "(", _, _]:
            return None  # A negation to some shells, a comparison to others.
        case [left, "=" | "==", right]:
            return left == right
        case [left, "!=", right]:
            return left != right
        case [left, relation, right] if _NUMBER.fullmatch(left) and _NUMBER.fullmatch(right):
            compare = _RELATIONS.get(relation)
            return None if compare is None else bool(compare(int(left), int(right)))
        case _:
            return None


def _is_always_there(path: str) -> bool:
    """Whether a path leads to a folder of any machine; `src/..` does not where there is no `src`."""
    parts = path.split("/")
    return bool(path) and (
        path.rstrip("/") in _ALWAYS_THERE or all(part in ("", ".", "..") for part in parts)
    )


def _end_of_python(texts: Sequence[str]) -> End:
    while texts and texts[0] in _FLAGS:
        texts = texts[1:]
    match list(texts):
        case ["--version" | "-V"]:
            return End(0, "the version of Python")
        case ["-c", code] if _is_idle(code):
            return End(0, f"what Python says by {code!r}")
        case _:
            return DEPENDS


def _is_idle(code: str) -> bool:
    """Whether Python code does nothing but say something fixed."""
    # An escape that Python does not know would warn, into our own output; so does a number before a word.
    if "\\" in code or _NUMBER_AND_WORD.search(code):
        return False
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(_is_idle_statement(each) for each in tree.body)


def _is_idle_statement(statement: ast.stmt) -> bool:  # noqa: PLR0911 - a table
    match statement:
        case ast.Pass() | ast.Expr(ast.Constant()):
            return True
        case ast.Import(names):
            return all(each.name in _ALWAYS_LOADED for each in names)
        case ast.Expr(ast.Call(ast.Name("print"), arguments, [])):
            return all(isinstance(each, ast.Constant) for each in arguments)
        case ast.Expr(ast.Call(ast.Name("exit") | ast.Attribute(ast.Name("sys"), "exit"), arguments, [])):
            return not arguments or (isinstance(arguments[0], ast.Constant) and arguments[0].value == 0)
        case ast.Raise(ast.Name("SystemExit") | ast.Call(ast.Name("SystemExit"), [], []), None):
            return True
        case ast.Raise(ast.Call(ast.Name("SystemExit"), [ast.Constant(0)], []), None):
            return True
        case ast.Assert(ast.Constant(value)):
            return bool(value)
        case ast.Assert(ast.Compare(ast.Constant(left), [ast.Eq()], [ast.Constant(right)])):
            return bool(left == right)
        case _:
            return False
