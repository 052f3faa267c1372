"""What of a simple command is which: its name, its options, and where what it says goes."""

import re
from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from shiftwork.verification.script import ASSIGNMENT, Redirections
from shiftwork.verification.tokens import Token, Unclear, Word

_WRAPPERS: Final = frozenset({"builtin", "command", "time"})
_STARTERS: Final = frozenset({"env", "nohup", "timeout"})
"""They run programs, and nothing that is only part of a shell."""

_SYSTEM: Final = frozenset({"/bin", "/usr/bin"})
_SETTING: Final = frozenset(
    {
        *("cd", "declare", "export", "getopts", "hash", "let", "local", "mapfile", "popd", "pushd", "read"),
        *("readarray", "typeset", "ulimit", "umask"),
    }
)
"""After these a program may be another one, or behave otherwise."""

_STEERED: Final = re.compile(
    r"(BASH\w*|DYLD_\w*|ENV|HOME|IFS|LD_\w*|PATH|POSIX\w*|PYTHON\w*|SHELLOPTS)\+?=", re.ASCII
)
"""Assignments that do the same."""

_LONG_ENOUGH: Final = re.compile(r"[1-9][0-9]{0,4}[smh]?")
"""A time in which anything ends that does nothing."""

_NAMED: Final = MappingProxyType({"errexit": "e", "nounset": "u", "pipefail": "p", "xtrace": "x"})


class Going(NamedTuple):
    """What redirections do.

    Attributes:
        muted: what is said goes elsewhere.
        may_fail: nothing may run at all.
        errors_are_heard: complaints count as said.
    """

    muted: bool
    may_fail: bool
    errors_are_heard: bool


def going_of(redirections: Redirections) -> Going:
    """What these do together; raises `Unclear` by those of other descriptors."""
    muted = may_fail = errors_are_heard = False
    for redirection, target in redirections:
        number, sign = redirection.number, redirection.sign
        says = number in ("", "1") and sign[0] in ">&"
        if sign in (">&", "<&"):
            if target.raw not in ("1", "2") or sign == "<&":
                raise Unclear
            muted = (muted or target.raw == "2") if says else muted
            errors_are_heard = errors_are_heard or (number == "2" and not muted)
            continue
        if target.text.startswith(("/dev/", "/proc/")) and target.text != "/dev/null":
            raise Unclear  # It may be another name of where the shell speaks.
        muted = muted or says
        may_fail = may_fail or (sign != "<<<" and target.raw != "/dev/null")
    return Going(muted and not errors_are_heard, may_fail, errors_are_heard)


def name_of(words: Sequence[Word]) -> tuple[str, Sequence[Word], bool]:
    """A command's name without its folder, its arguments, and whether it is a program, no part of the shell.

    What only runs it is left out. A name of '' does nothing, another that nobody knows may do anything.

    Raises:
        Unclear: what the name is depends, or an option of what runs it is not known.
    """
    is_program = False
    while words:
        if not words[0].literal:
            raise Unclear
        folder, _, name = words[0].text.rpartition("/")
        if folder or words[0].text.startswith("/"):
            is_program, name = True, name if folder in _SYSTEM else words[0].text
        rest = words[1:]
        if name in _STARTERS:
            is_program = True
            rest = _started(name, rest)
            if not rest or rest[0].text.startswith("-"):
                return name, rest, True
        elif name not in _WRAPPERS or is_program:
            return name, rest, is_program
        elif rest and rest[0].text.startswith("-"):
            if rest[0].text not in ("-v", "-V"):
                raise Unclear
            return "command -v", rest[1:], False
        words = rest
    return "", (), False


def _started(name: str, rest: Sequence[Word]) -> Sequence[Word]:
    """What is run, without what is said to what runs it; nothing if that may end it."""
    if name == "timeout":
        waits = any(word.text == "sleep" for word in rest)
        return rest[1:] if rest and _LONG_ENOUGH.fullmatch(rest[0].text) and not waits else ()
    while name == "env" and rest and ASSIGNMENT.match(rest[0].raw):
        rest = rest[1:]
    return rest


def letters_of(words: Sequence[Word], known: re.Pattern[str]) -> tuple[str, Sequence[Word]]:
    """The options that words begin with, as letters (`p`: pipefail), and what comes after them.

    Raises:
        Unclear: one is not `known`.
    """
    letters, rest = "", list(words)
    while rest and rest[0].literal and rest[0].text[:1] in ("-", "+"):
        option = rest.pop(0).text
        if not known.fullmatch(option) or option == "-":
            raise Unclear
        letters += option[1:].replace("o", "")
        if option.endswith("o"):
            named = _NAMED.get(rest.pop(0).text) if rest else None
            if named is None:
                raise Unclear
            letters += named
    return letters, rest


def has_own_programs(tokens: Iterable[Token]) -> bool:
    """Whether something in a script may have programs be others, or behave otherwise."""
    words = [token for token in tokens if isinstance(token, Word)]
    return any(word.text in _SETTING or _STEERED.match(word.text) for word in words)
