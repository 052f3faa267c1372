"""`.gitignore`, matched in time that its author can't stretch.

The usual translation of a pattern into one regular expression backtracks: a line like `*a*a*a*a*b` stops a
harness for hours. Here each name is matched by itself, with atomic groups between its stars, and `**` by
going back to the last one only; both are at worst quadratic. The one difference to git: a slash always
separates names, also between brackets.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from shiftwork.repository.deadline import Tick, untimed

MAX_BYTES = 256 * 1024
"""Bytes of one file."""
MAX_TOTAL = 4 * 1024 * 1024
"""Bytes of all files of a tree that are followed; the rules take some thirty times as much memory."""
MAX_RULES = 5_000

BUILT_IN = """\
__pycache__/
*.py[co]
.venv/
venv/
node_modules/
.pytest_cache/
.mypy_cache/
.ruff_cache/
.hypothesis/
.tox/
.nox/
.coverage
*.egg-info/
.DS_Store
Thumbs.db
.shiftwork/
*.swp
"""
"""What no project wants in its commits unless it tracks it or says so in a `.gitignore`."""

_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": r" \t",
    "digit": "0-9",
    "lower": "a-z",
    "space": r"\s",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a `.gitignore`: what its last components must match, and what that means."""

    components: tuple[re.Pattern[str] | None, ...]
    """None is `**`."""
    ignores: bool
    folders_only: bool
    anchored: bool

    def matches(self, parts: Sequence[str], *, folder: bool) -> bool:
        """Whether this path, relative to the file's own folder, is meant."""
        if self.folders_only and not folder:
            return False
        if not self.anchored:
            only = self.components[0]
            return only is not None and only.fullmatch(parts[-1]) is not None
        return _match(self.components, parts)


@dataclass(frozen=True, slots=True)
class IgnoreFile:
    """The rules of one `.gitignore`; the last one that matches decides."""

    rules: tuple[Rule, ...]

    @classmethod
    def parse(cls, data: bytes) -> "IgnoreFile":
        """Read the file's lines; one that git would not understand matches nothing."""
        lines = os.fsdecode(data.removeprefix(b"\xef\xbb\xbf")).split("\n")
        rules = (_rule(line.removesuffix("\r")) for line in lines[:MAX_RULES])
        return cls(tuple(rule for rule in rules if rule is not None))

    def verdict(self, parts: Sequence[str], *, folder: bool) -> bool | None:
        """Whether the path is ignored; None if no rule says anything about it."""
        for rule in reversed(self.rules):
            if rule.matches(parts, folder=folder):
                return rule.ignores
        return None


def chain_verdict(
    chain: Sequence[tuple[int, IgnoreFile]], parts: Sequence[str], *, folder: bool, tick: Tick = untimed
) -> bool | None:
    """The verdict of the innermost file that has one; the chain holds (depth of its folder, file).

    Ticks before each file.
    """
    for depth, file in reversed(chain):
        tick()
        verdict = file.verdict(parts[depth:], folder=folder)
        if verdict is not None:
            return verdict
    return None


def _rule(line: str) -> Rule | None:
    line = _without_trailing_spaces(line)
    if not line or line.startswith("#"):
        return None
    ignores = not line.startswith("!")
    line = line if ignores else line[1:]
    folders_only = line.endswith("/")
    line = line.removesuffix("/")
    anchored = "/" in line
    names = line.removeprefix("/").split("/")
    if names[-1] == "**" and anchored:
        names.append("*")
    try:
        components = tuple(None if name == "**" and anchored else _component(name) for name in names)
    except ValueError:
        return None
    return Rule(components, ignores, folders_only, anchored) if line else None


def _without_trailing_spaces(line: str) -> str:
    stripped = line.rstrip(" ")
    backslashes = len(stripped) - len(stripped.rstrip("\\"))
    return stripped + " " if len(stripped) < len(line) and backslashes % 2 else stripped


def _match(components: Sequence[re.Pattern[str] | None], parts: Sequence[str]) -> bool:
    at = part = 0
    resume: tuple[int, int] | None = None
    while part < len(parts):
        component = components[at] if at < len(components) else _NEVER
        if component is None:
            resume = (at + 1, part)
            at += 1
        elif component.fullmatch(parts[part]):
            at, part = at + 1, part + 1
        elif resume is None:
            return False
        else:
            resume = (resume[0], resume[1] + 1)
            at, part = resume
    return at == len(components)


_NEVER = re.compile(r"(?!)")


def _component(pattern: str) -> re.Pattern[str]:
    """One name's pattern; raises ValueError where git would let the line match nothing."""
    pieces = [""]
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            if pieces[-1] or len(pieces) == 1:
                pieces.append("")
        elif char == "?":
            pieces[-1] += "."
        elif char == "[":
            text, at = _set(pattern, at)
            pieces[-1] += text
        elif char == "\\":
            if at == len(pattern):
                raise ValueError("a backslash at the end")
            pieces[-1] += re.escape(pattern[at])
            at += 1
        else:
            pieces[-1] += re.escape(char)
    if len(pieces) == 1:
        return re.compile(pieces[0], re.DOTALL)
    middle = "".join(f"(?>.*?{piece})" for piece in pieces[1:-1])
    return re.compile(f"{pieces[0]}{middle}.*{pieces[-1]}", re.DOTALL)


def _set(pattern: str, at: int) -> tuple[str, int]:
    """The bracket expression that begins before `at`, and where it ends."""
    negated = pattern[at : at + 1] in {"!", "^"}
    at += negated
    items = ""
    first = True
    while first or pattern[at : at + 1] != "]":
        first = False
        if pattern.startswith("[:", at) and (end := pattern.find(":]", at)) >= 0:
            name = pattern[at + 2 : end]
            if name not in _CLASSES:
                raise ValueError(f"no class {name!r}")
            items += _CLASSES[name]
            at = end + 2
            continue
        low, at = _set_char(pattern, at)
        high = low
        if pattern[at : at + 1] == "-" and pattern[at + 1 : at + 2] not in {"]", ""}:
            high, at = _set_char(pattern, at + 1)
        if low <= high:
            items += f"{re.escape(low)}-{re.escape(high)}"
    if not items:
        return (r"." if negated else r"(?!)"), at + 1
    return f"[{'^' if negated else ''}{items}]", at + 1


def _set_char(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at : at + 1] == "\\":
        at += 1
    if at >= len(pattern):
        raise ValueError("a bracket that is not closed")
    return pattern[at], at + 1
