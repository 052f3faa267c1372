"""A shell command's words and operators, as far as one pass over it can tell them apart."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_BLANKS: Final = " \t"
_OPERATORS: Final = ("\n", ";;", ";", "&&", "&", "||", "|&", "|", "((", "(", ")")
"""Longer ones before those that they begin with; `;;` and `((` are known to nobody here."""

_REDIRECTION: Final = re.compile(r"([0-9]*)(<<<|>>|>&|<&|>\||<|>)|&>>?")
_UNSEEN: Final = ("`", "$(", "<(", ">(", "<<", "<>")
"""What runs other commands, or goes on on other lines."""

_VARIABLE: Final = re.compile(r"\$(\{\w{1,80}\}|\w|[?!#@*$-])?")
_PATTERN: Final = frozenset("*?{}[]~")


@dataclass(frozen=True, slots=True)
class Word:
    """A word.

    Attributes:
        text: what the command gets, if `literal`.
        literal: whether that is known before it runs.
        raw: as it was written, with its quotes.
    """

    text: str
    literal: bool
    raw: str


@dataclass(frozen=True, slots=True)
class Operator:
    """What stands between commands; a line's end is `;`."""

    sign: str


@dataclass(frozen=True, slots=True)
class Redirection:
    """Where something goes or comes from; the word after it says what that is.

    Attributes:
        number: of the descriptor, as it was written; may be empty.
    """

    number: str
    sign: str


Token = Word | Operator | Redirection


class Unclear(Exception):  # noqa: N818 - no error: the caller then takes nothing for granted
    """The command can't be seen through."""


def tokens_of(command: str) -> Iterator[Token]:
    """The tokens, in a time that is in proportion to the length.

    Raises:
        Unclear: it holds what can't be told apart so simply.
    """
    place, length = 0, len(command)
    while place < length:
        sign = command[place]
        if sign in _BLANKS:
            place += 1
        elif command.startswith("\\\n", place):
            place += 2
        elif sign == "#":
            end = command.find("\n", place)
            place = length if end < 0 else end
        elif redirection := _redirection(command, place):
            token, place = redirection
            yield token
        elif operator := next((one for one in _OPERATORS if command.startswith(one, place)), None):
            if operator in (";;", "(("):
                raise Unclear
            place += len(operator)
            yield Operator(";" if operator == "\n" else operator)
        else:
            word, place = _word(command, place)
            yield word


def _redirection(command: str, place: int) -> tuple[Redirection, int] | None:
    if command.startswith(("<(", ">("), place):
        raise Unclear
    match = _REDIRECTION.match(command, place)
    if match is None:
        return None
    sign = match[2] or match[0]
    if sign == "<" and command.startswith(_UNSEEN, match.end() - 1):
        raise Unclear
    return Redirection(match[1] or "", sign), match.end()


def _word(command: str, begin: int) -> tuple[Word, int]:
    """The word that begins there, and where it ends."""
    place, length = begin, len(command)
    text: list[str] = []
    literal = True
    while place < length and (sign := command[place]) not in " \t\n;&|()<>":
        if sign == "'":
            end = _end_of(command, "'", place + 1)
            text.append(command[place + 1 : end])
            place = end + 1
        elif sign == '"':
            inner, known, place = _quoted(command, place + 1)
            text.append(inner)
            literal = literal and known
        elif sign == "\\":
            if place + 1 == length:
                raise Unclear
            text.append("" if command[place + 1] == "\n" else command[place + 1])
            place += 2
        elif sign in "$`":
            place, literal = _variable(command, place), False
            if command.startswith(("'", '"'), place) and command[place - 1] == "$":
                raise Unclear
        else:
            literal = literal and sign not in _PATTERN
            text.append(sign)
            place += 1
    raw = command[begin:place]
    lone = raw in {"[", "]", "[[", "]]", "{", "}"}
    return Word("".join(text), literal or lone, raw), place


def _quoted(command: str, place: int) -> tuple[str, bool, int]:
    """What is between double quotes, whether it is known, and where it goes on after them."""
    text: list[str] = []
    known = True
    while True:
        if place >= len(command):
            raise Unclear
        sign = command[place]
        if sign == '"':
            return "".join(text), known, place + 1
        if sign in "$`":
            place, known = _variable(command, place), False
        elif sign == "\\" and command[place + 1 : place + 2] in ("$", "`", '"', "\\", "\n"):
            text.append(command[place + 1].replace("\n", ""))
            place += 2
        else:
            text.append(sign)
            place += 1


def _variable(command: str, place: int) -> int:
    """Where a variable ends."""
    match = _VARIABLE.match(command, place)
    if match is None or (match[0] == "$" and command.startswith(("(", "{", "["), match.end())):
        raise Unclear
    return match.end()


def _end_of(command: str, sign: str, place: int) -> int:
    end = command.find(sign, place)
    if end < 0:
        raise Unclear
    return end
