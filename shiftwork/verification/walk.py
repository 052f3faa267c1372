"""All ways in which a shell command can end, whatever the commands in it that nobody knows yield."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from shiftwork.verification.constants import BUILT_IN, DEPENDS, End, end_of, status_of
from shiftwork.verification.parts import Going, going_of, has_own_programs, letters_of, name_of
from shiftwork.verification.script import (
    Chain,
    Choice,
    Command,
    Commands,
    Group,
    Pipeline,
    Simple,
    read_script,
)
from shiftwork.verification.tokens import Unclear, Word, tokens_of

FAILED: Final = -1
"""A status that is known not to be 0, and no more."""

_MOST_WAYS: Final = 64
"""Ways that are followed at once; what has more is taken for a check."""

MOST_WORK: Final = 100_000
"""Characters of commands that are looked at, those on several ways as often: some tenths of a second."""

_COMMAND_WORK: Final = 20
"""What looking at a command costs besides its characters."""

_DEPTH_OF_SHELL: Final = 4
"""What a script in a script counts for in the depth: quotes within quotes are rare."""

_SHELLS: Final = frozenset({"bash", "dash", "sh"})
_BASHISMS: Final = ("[[", "pipefail", "&>", "|&", "<<<")
_CHANGING: Final = frozenset(
    {
        *(".", "alias", "break", "continue", "enable", "eval", "exec", "kill", "killall", "logout", "pkill"),
        *("readonly", "return", "shift", "shopt", "source", "suspend", "trap", "unalias", "unset"),
    }
)
"""What changes how all that follows ends, in more ways than are followed here."""

_SPECIAL: Final = _CHANGING | {":", "[[", "command -v", "exit", "set"}
"""What no program can do, and what a redirection that fails may end the shell with."""

_OPTIONS: Final = re.compile(r"-[eux]*o?")
_OPTIONS_OFF: Final = re.compile(r"\+[eux]*o?")
_SHELL_OPTIONS: Final = re.compile(r"-[ceulx]*o?")


class Way(NamedTuple):
    """Where the shell stands on one way through a command.

    Attributes:
        status: of the last command; may be `FAILED`.
        said: stands for all it said; None: that depends.
        left: it has ended.
        errexit: it ends with the first failure (`set -e`).
        pipefail: a pipeline fails with any of its commands.
    """

    status: int = 0
    said: str | None = ""
    left: bool = False
    errexit: bool = False
    pipefail: bool = False

    def after(self, status: int, said: str | None, *, left: bool = False) -> "Way":
        """The same, one command later."""
        words = None if said is None or self.said is None else self.said + said
        return self._replace(status=status, said=words, left=left)


Ways = frozenset[Way]


class Walk:
    """Follows all ways through one script.

    Args:
        depth: how deep it is nested in another.
        work: how much of `MOST_WORK` is done; shared with the scripts in this one.

    Raises:
        Unclear: by everything here, if the script can't be seen through.
    """

    def __init__(self, command: str, depth: int = 0, work: Counter[str] | None = None) -> None:
        tokens = list(tokens_of(command))
        self._script = read_script(tokens, depth)
        self._depth = depth
        self._variables = "$" in command
        self._own_programs = has_own_programs(tokens)
        self._work = Counter[str]() if work is None else work

    @property
    def work(self) -> int:
        """Characters of commands that were looked at so far."""
        return self._work["done"]

    def ends(self, start: Way) -> Ways:
        """All ways in which it can end."""
        return self._commands(self._script, frozenset([start]), guarded=False)

    # Lists; `guarded`: a failure has consequences already, so `set -e` does not count --------------------

    def _commands(self, commands: Commands, ways: Ways, *, guarded: bool) -> Ways:
        for chain in commands:
            over = frozenset(way for way in ways if way.left)
            ways = _bounded(over | self._chain(chain, ways - over, guarded=guarded))
        return ways

    def _chain(self, chain: Chain, ways: Ways, *, guarded: bool) -> Ways:
        if chain.in_background:
            return frozenset(way.after(0, None) for way in ways)
        last = len(chain.links) - 1
        for number, (operator, pipeline) in enumerate(chain.links):
            runs = ways
            if number > 0:
                runs = frozenset(w for w in ways if not w.left and (w.status == 0) == (operator == "&&"))
            ends = (self._pipeline(pipeline, way, guarded=guarded or number < last) for way in runs)
            ways = _bounded((ways - runs).union(*ends))
        return ways

    def _pipeline(self, pipeline: Pipeline, way: Way, *, guarded: bool) -> Ways:
        guarded = guarded or pipeline.negated
        only = pipeline.members[0] if len(pipeline.members) == 1 else None
        if only is None:
            ways = self._joined(pipeline.members, way, guarded=guarded)
        else:
            ways = self._command(only, way, guarded=guarded)
        if pipeline.negated:
            ways = frozenset(end if end.left else end._replace(status=int(end.status == 0)) for end in ways)
        # Groups and choices don't fail themselves: what failed in them ended the shell, or does not count.
        if guarded or isinstance(only, Choice) or (isinstance(only, Group) and not only.own_shell):
            return ways
        return frozenset(end._replace(left=end.left or (end.errexit and end.status != 0)) for end in ways)

    def _joined(self, members: Sequence[Command], way: Way, *, guarded: bool) -> Ways:
        """The ends of the last one, which hears the others; who takes nothing in is not changed by that."""

        def ends_of(member: Command) -> Ways:
            return self._apart(way, lambda own: self._command(member, own, guarded=guarded))

        ends = ends_of(members[-1])
        for member in reversed(members[:-1] if way.pipefail else ()):
            statuses = {end.status for end in ends_of(member)}
            ends = frozenset(end._replace(status=end.status or other) for end in ends for other in statuses)
        return _bounded(ends)

    def _apart(self, way: Way, follow: Callable[[Way], Ways]) -> Ways:
        """In a shell of its own: what ends it, or is set in it, stays in it."""
        ends = follow(way._replace(said=""))
        return frozenset(way.after(end.status, end.said) for end in ends)

    # Commands -------------------------------------------------------------------------------------------

    def _command(self, command: Command, way: Way, *, guarded: bool) -> Ways:
        if isinstance(command, Simple):
            return self._simple(command, way)
        going = going_of(command.redirections)
        if going.may_fail:
            raise Unclear
        if isinstance(command, Choice):
            ends = self._choice(command, way, guarded=guarded)
        elif command.own_shell:
            ends = self._apart(way, lambda own: self._commands(command.body, _one(own), guarded=guarded))
        else:
            ends = self._commands(command.body, _one(way), guarded=guarded)
        return _heard(ends, way, going)

    def _choice(self, choice: Choice, way: Way, *, guarded: bool) -> Ways:
        undecided, ends = _one(way), Ways()
        for condition, then in choice.arms:
            decided = self._commands(condition, undecided, guarded=True)
            holds = frozenset(one for one in decided if one.status == 0 and not one.left)
            undecided = frozenset(one for one in decided if one.status != 0 and not one.left)
            ends |= (decided - holds - undecided) | self._commands(then, holds, guarded=guarded)
        if choice.otherwise:
            return ends | self._commands(choice.otherwise, undecided, guarded=guarded)
        return ends | frozenset(one._replace(status=0) for one in undecided)

    def _simple(self, command: Simple, way: Way) -> Ways:
        self._work["done"] += _COMMAND_WORK + sum(len(word.raw) for word in command.words)
        if self._work["done"] > MOST_WORK:
            raise Unclear
        going = going_of(command.redirections)
        name, rest, is_program = name_of(command.words)
        if name in _CHANGING or (going.may_fail and name in _SPECIAL):
            raise Unclear
        if is_program and name in _SPECIAL:
            ends = _ways_of(DEPENDS, way)
        elif name == "exit":
            ends = _one(_exit(rest, way))
        elif name == "set":
            ends = _one(self._setting(rest, way))
        elif name in _SHELLS:
            ends = self._shell(name, rest, way)
        elif name and self._own_programs and (is_program or name not in BUILT_IN):
            ends = _ways_of(DEPENDS, way)
        else:
            if name == "[[" and command.redirections:  # A `<` in it compares.
                raise Unclear
            end = end_of(name, rest) if name else End(0, "")
            ends = _ways_of(end, way)
            if end.status is not None:  # Then it complains of nothing.
                going = going._replace(errors_are_heard=False)
        ends = _heard(ends, way, going)
        return ends | _one(way.after(FAILED, "")) if going.may_fail else ends

    def _setting(self, words: Sequence[Word], way: Way) -> Way:
        if not words or not words[0].text.startswith("+"):
            return _set(way, self._options(words))
        letters, left = letters_of(words, _OPTIONS_OFF)
        if left or not letters:
            raise Unclear
        return way._replace(
            status=0,
            errexit=way.errexit and "e" not in letters,
            pipefail=way.pipefail and "p" not in letters,
        )

    def _options(self, words: Sequence[Word]) -> str:
        """The letters of what `set` switches on; `p`: pipefail."""
        letters, left = letters_of(words, _OPTIONS)
        if left or not letters or (self._variables and "u" in letters):
            raise Unclear  # With `-u`, a variable that is not set ends the shell.
        return letters

    def _shell(self, name: str, words: Sequence[Word], way: Way) -> Ways:
        """A shell that is given its script by `-c`."""
        letters, left = letters_of(words, _SHELL_OPTIONS)
        if "c" not in letters or not left or not left[0].literal or self._own_programs:
            return _ways_of(DEPENDS, way)
        script = left[0].text
        unclear = "u" in letters and "$" in script
        if unclear or (name != "bash" and any(one in script for one in _BASHISMS)):
            return _ways_of(DEPENDS, way)
        try:
            inner = Walk(script, self._depth + _DEPTH_OF_SHELL, self._work)
            ends = inner.ends(_set(Way(), letters))
        except Unclear:
            return _ways_of(DEPENDS, way)
        return frozenset(way.after(end.status, end.said) for end in ends)


def _set(way: Way, letters: str) -> Way:
    # What `-x` tells may be heard, by `2>&1`.
    said = None if "x" in letters or way.said is None else way.said
    return way._replace(
        status=0, said=said, errexit=way.errexit or "e" in letters, pipefail=way.pipefail or "p" in letters
    )


def _exit(rest: Sequence[Word], way: Way) -> Way:
    if not rest:
        return way._replace(left=True)
    status = status_of(rest[0].text) if len(rest) == 1 and rest[0].literal else None
    if status is None:
        raise Unclear
    return way._replace(status=status, left=True)


def _heard(ends: Ways, before: Way, going: Going) -> Ways:
    """The same ends, with what is heard of what was said since."""
    if going.errors_are_heard:
        return frozenset(end._replace(said=None) for end in ends)
    return frozenset(end._replace(said=before.said) for end in ends) if going.muted else ends


def _ways_of(end: End, way: Way) -> Ways:
    statuses = (0, FAILED) if end.status is None else (end.status,)
    return frozenset(way.after(status, end.said) for status in statuses)


def _one(way: Way) -> Ways:
    return frozenset([way])


def _bounded(ways: Ways) -> Ways:
    if len(ways) > _MOST_WAYS:
        raise Unclear
    return ways
