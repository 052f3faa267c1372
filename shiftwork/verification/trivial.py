"""Commands that show nothing: they come out alike, whatever the project holds."""

import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import dropwhile, groupby
from typing import Final

from shiftwork.contracts.feature import FeatureSpec
from shiftwork.verification.constants import DEPENDS, End, end_of, is_ending

_BLOCKS: Final = frozenset(
    {"{", "}", "!", "if", "then", "elif", "else", "fi", "while", "until", "do", "done"}
)
"""Words that only hold commands together."""

_WRAPPERS: Final = frozenset({"builtin", "command", "env", "nohup", "time"})
_SHELLS: Final = frozenset({"bash", "dash", "sh"})
_CHANGING: Final = frozenset({".", "eval", "exec", "set", "source", "trap"})
"""What changes how all that follows ends."""

_COMMENT: Final = re.compile(r"(^|\s)#.*")
_LOOKS: Final = ("$(", "`", "<(", "*", "?", "<")
"""By which even an `echo` can tell something of the project."""

_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*=[^$]*")
_QUOTED_OPERATOR: Final = re.compile(r"""(['"])(?:(?!\1).)*[;&|(){}!](?:(?!\1).)*\1|\\""")
_OPERATORS: Final = frozenset(";&|()")


def is_trivial(command: str, *, output: bool = True) -> bool:
    """Whether a shell command comes out alike whatever there is: `exit 0`, `echo ok`, `test -d .`, or none.

    It keeps a model from an easy way out, not a malicious one: what it doesn't see through counts as a check.

    Args:
        output: whether what the command says counts, too; else its exit status alone does.
    """
    lines = _lines(command)
    if lines is None:
        return False
    if _are_constant(lines, output=output):
        return True
    end = _end_of_lines(lines) if _is_plain(command, lines) else DEPENDS
    return end.status is not None and (end.silent or not output)


def proves_nothing(feature: FeatureSpec) -> str | None:
    """A sentence on the first step of a feature that comes out alike whatever there is; None: all check."""
    for number, step in enumerate(feature.verification_steps, start=1):
        if step.command is not None and is_trivial(step.command, output=step.expect_output is not None):
            return (
                f"feature {feature.name!r}, step {number} checks nothing: {step.command!r:.200} comes "
                "out alike whatever there is"
            )
    return None


# Words ----------------------------------------------------------------------------------------------------


def _lines(command: str) -> list[list[str]] | None:
    """The words of each line; None: the command can't be seen through."""
    if any(sign in command for sign in _LOOKS):
        return None
    try:
        return [_words(line) for line in command.splitlines()]
    except ValueError:  # quotes that go on over lines, or have no end
        return None


def _words(line: str) -> list[str]:
    reader = shlex.shlex(_COMMENT.sub("", line), posix=True, punctuation_chars=True)
    reader.commenters, reader.whitespace_split = "", True
    return list(reader)


def _is_operator(word: str) -> bool:
    return bool(word) and set(word) <= _OPERATORS


def _simple_commands(words: Sequence[str]) -> Iterator[list[str]]:
    """The commands between `;`, `&&`, `||`, `|` and parentheses."""
    for is_operator, group in groupby(words, key=_is_operator):
        if not is_operator:
            yield list(group)


def _bare(simple: Sequence[str]) -> list[str]:
    """The command itself: without what holds it together, is assigned, is redirected, or only runs it."""
    words = _unheld(simple)
    words = [
        word
        for number, word in enumerate(words)
        if not _redirects(words, number) and not (number and _redirects(words, number - 1))
    ]
    while words and (_ASSIGNMENT.fullmatch(words[0]) or (words[0] in _WRAPPERS and _runs(words[1:]))):
        words = words[1:]
    return words


def _unheld(simple: Sequence[str]) -> Sequence[str]:
    """Without the words that only hold commands together, which come first."""
    return list(dropwhile(_BLOCKS.__contains__, simple))


def _redirects(words: Sequence[str], number: int) -> bool:
    return ">" in words[number] and set(words[number]) <= set(">&|")


def _runs(rest: Sequence[str]) -> bool:
    """Whether a wrapper has a command to run; by an option it may do something else."""
    return bool(rest) and not rest[0].startswith("-")


# Ends -----------------------------------------------------------------------------------------------------


def _are_constant(lines: Sequence[Sequence[str]], *, output: bool) -> bool:
    return all(_is_constant(simple, output=output) for words in lines for simple in _simple_commands(words))


def _is_constant(simple: Sequence[str], *, output: bool) -> bool:
    words = _bare(simple)
    if not words:
        return all(word in _BLOCKS or _ASSIGNMENT.fullmatch(word) is not None for word in simple)
    if words[0].rpartition("/")[2] in _SHELLS:
        how, inner = words[1:2], words[2] if len(words) > 2 else ""
        if how == ["-ec"]:  # it ends at the first command that fails
            return (lines := _lines(inner)) is not None and _are_constant(lines, output=output)
        return how in (["-c"], ["-lc"]) and is_trivial(inner, output=output)
    end = end_of(words)
    return end.status is not None and (end.silent or not output)


def _is_plain(command: str, lines: Sequence[Sequence[str]]) -> bool:
    """Whether it is a list of commands, without blocks, by which each has an end of its own."""
    firsts = {
        name for line in lines for each in _simple_commands(line) for name in (each[0], *_bare(each)[:1])
    }
    groups = any(_is_operator(word) and set(word) & set("()") for line in lines for word in line)
    return not (groups or firsts & (_BLOCKS | _CHANGING) or _QUOTED_OPERATOR.search(command))


def _end_of_lines(lines: Sequence[Sequence[str]]) -> End:
    """The last one's; an end in between must be one like it."""
    silent, last, leaves = True, DEPENDS, set[int | None]()
    for words in (part for line in lines for part in _parts(line, {";", "&"})):
        last = _end_of_chain(words)
        silent = silent and last.silent
        leaves |= {end_of(bare).status for each in _simple_commands(words) if is_ending(bare := _bare(each))}
    return End(last.status if leaves <= {last.status} else None, silent=silent)


def _end_of_chain(words: Sequence[str]) -> End:
    """Of commands between `&&` and `||`, from left to right."""
    end, operator = End(0, silent=True), "&&"
    for is_operator, group in groupby(words, key=lambda word: word in {"&&", "||"}):
        if is_operator:
            operator = next(iter(group))
            continue
        then = _end_of_pipeline(list(group))
        silent = end.silent and then.silent
        runs = end.status == 0 if operator == "&&" else bool(end.status)
        if end.status is None:
            # Either the first one's end counts, or the other's; they are alike if that succeeds after `||`.
            end = End(0 if operator == "||" and then.status == 0 else None, silent=silent)
        elif runs:
            end = End(then.status, silent=silent)
    return end


def _end_of_pipeline(words: Sequence[str]) -> End:
    """The last one's, which hears those before; what takes nothing in says the same whatever they say."""
    last = list(_parts(words, {"|"}))[-1:]
    bare = _bare(last[0]) if last else []
    return end_of(bare) if bare else DEPENDS


def _parts(words: Sequence[str], separators: set[str]) -> Iterator[list[str]]:
    for is_separator, group in groupby(words, key=lambda word: word in separators):
        if not is_separator:
            yield list(group)
