"""Commands that show nothing: they come out alike, whatever the project holds."""

import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

_CONSTANT: Final = frozenset({":", "echo", "exit", "false", "printf", "pwd", "return", "sleep", "true"})
_BLOCKS: Final = frozenset({"{", "}", "!"})
_SHELLS: Final = frozenset({"bash", "dash", "sh"})
_COMMENT: Final = re.compile(r"(^|\s)#.*")
_LOOKS: Final = ("$(", "`", "<(", "*", "?", "<")
"""By which even an `echo` can tell something of the project."""


def is_trivial(command: str) -> bool:
    """Whether a shell command only says or yields something fixed: `true`, `:`, `exit 0`, `echo ok`, or none.

    It keeps a model from an easy way out, not a malicious one: what it doesn't see through counts as a check.
    """
    if any(sign in command for sign in _LOOKS):
        return False
    try:
        lines = [_words(line) for line in command.splitlines()]
    except ValueError:  # quotes that go on over lines, or have no end
        return False
    return all(_is_constant(simple) for words in lines for simple in _simple_commands(words))


def _words(line: str) -> list[str]:
    reader = shlex.shlex(_COMMENT.sub("", line), posix=True, punctuation_chars=True)
    reader.commenters = ""
    return list(reader)


def _simple_commands(words: Sequence[str]) -> Iterator[list[str]]:
    """The commands between `;`, `&&`, `||`, `|` and parentheses."""
    for is_operator, group in groupby(words, key=lambda word: bool(word) and set(word) <= set(";&|()")):
        if not is_operator:
            yield list(group)


def _is_constant(simple: Sequence[str]) -> bool:
    words = [word for word in simple if word not in _BLOCKS]
    if not words:
        return True
    name = words[0].rpartition("/")[2]
    if name in _SHELLS:
        return len(words) > 2 and words[1] in {"-c", "-ec", "-lc"} and is_trivial(words[2])
    return name in _CONSTANT
