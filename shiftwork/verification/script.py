"""What a shell command is made of: lists, chains, pipelines, groups and simple commands."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shiftwork.verification.tokens import Operator, Redirection, Token, Unclear, Word

MOST_NESTED: Final = 12
"""Groups within groups that are looked into: what bounds the recursion."""

_CLOSING: Final = frozenset({"then", "elif", "else", "fi", "}"})
_UNKNOWN: Final = frozenset(
    {"case", "coproc", "do", "done", "esac", "for", "function", "in", "select", "until", "while"}
)
ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*\+?=", re.ASCII)

Redirections = tuple[tuple[Redirection, Word], ...]


@dataclass(frozen=True, slots=True)
class Simple:
    """A command with its arguments; assignments before it are left out."""

    words: tuple[Word, ...]
    redirections: Redirections


@dataclass(frozen=True, slots=True)
class Group:
    """Commands in braces, or in parentheses: a shell of their own."""

    body: "Commands"
    redirections: Redirections
    own_shell: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """`if`: conditions with what follows each, and what follows if none holds."""

    arms: tuple[tuple["Commands", "Commands"], ...]
    otherwise: "Commands"
    redirections: Redirections


Command = Simple | Group | Choice


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands that hear each other; `negated`: by `!`."""

    members: tuple[Command, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class Chain:
    """Pipelines, each with the `&&` or `||` before it; the first one's is `&&`."""

    links: tuple[tuple[str, Pipeline], ...]
    in_background: bool


Commands = tuple[Chain, ...]


def read_script(tokens: Sequence[Token], depth: int = 0) -> Commands:
    """What these tokens make; `depth`: how deep they are themselves nested.

    Raises:
        Unclear: it holds what is not understood here, or is nested too deep.
    """
    reader = _Reader(tokens, depth)
    commands = reader.commands()
    if reader.next is not None:
        raise Unclear
    return commands


class _Reader:
    """Goes through the tokens once."""

    def __init__(self, tokens: Sequence[Token], depth: int) -> None:
        self._tokens = tokens
        self._place = 0
        self._depth = depth

    @property
    def next(self) -> Token | None:
        """The token that comes next."""
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def commands(self) -> Commands:
        """Up to the end, or to what closes."""
        if self._depth > MOST_NESTED:
            raise Unclear
        self._depth += 1
        chains = []
        self._skip_ends()
        while not self._closes():
            chains.append(self._chain())
            self._skip_ends()
        self._depth -= 1
        return tuple(chains)

    def _closes(self) -> bool:
        token = self.next
        return (
            token is None
            or (isinstance(token, Operator) and token.sign == ")")
            or (isinstance(token, Word) and token.raw in _CLOSING)
        )

    def _is(self, *signs: str) -> bool:
        token = self.next
        return isinstance(token, Operator) and token.sign in signs

    def _take(self) -> Token:
        token = self.next
        if token is None:
            raise Unclear
        self._place += 1
        return token

    def _take_word(self, *raws: str) -> str:
        token = self._take()
        if not isinstance(token, Word) or token.raw not in raws:
            raise Unclear
        return token.raw

    def _skip_ends(self) -> None:
        while self._is(";"):
            self._place += 1

    def _chain(self) -> Chain:
        links = [("&&", self._pipeline())]
        while self._is("&&", "||"):
            token = self._take()
            assert isinstance(token, Operator), "just asked"
            self._skip_ends()
            links.append((token.sign, self._pipeline()))
        if self._is("&"):
            self._place += 1
            return Chain(tuple(links), in_background=True)
        if not (self._is(";") or self._closes()):
            raise Unclear
        return Chain(tuple(links), in_background=False)

    def _pipeline(self) -> Pipeline:
        negated = isinstance(self.next, Word) and self.next.raw == "!"
        if negated:
            self._place += 1
        members = [self._command()]
        while self._is("|", "|&"):
            self._place += 1
            self._skip_ends()
            members.append(self._command())
        return Pipeline(tuple(members), negated)

    def _command(self) -> Command:
        if self._is("("):
            self._place += 1
            body = self._body()
            if not self._is(")"):
                raise Unclear
            self._place += 1
            return Group(body, self._redirections(), own_shell=True)
        raw = self.next.raw if isinstance(self.next, Word) else ""
        if raw in _UNKNOWN or raw in _CLOSING or raw == "!":
            raise Unclear
        if raw == "{":
            self._place += 1
            body = self._body()
            self._take_word("}")
            return Group(body, self._redirections(), own_shell=False)
        return self._choice() if raw == "if" else self._simple()

    def _body(self) -> Commands:
        body = self.commands()
        if not body:
            raise Unclear
        return body

    def _choice(self) -> Choice:
        arms, otherwise = [], Commands()
        word = self._take_word("if")
        while word in ("if", "elif"):
            condition = self._body()
            self._take_word("then")
            arms.append((condition, self._body()))
            word = self._take_word("elif", "else", "fi")
        if word == "else":
            otherwise = self._body()
            self._take_word("fi")
        return Choice(tuple(arms), otherwise, self._redirections())

    def _simple(self) -> Simple:
        words: list[Word] = []
        redirections: list[tuple[Redirection, Word]] = []
        assigns = False
        while isinstance(token := self.next, Word | Redirection):
            if isinstance(token, Redirection):
                redirections += self._redirections()
                continue
            self._place += 1
            if not words and ASSIGNMENT.match(token.raw):
                assigns = True
            else:
                words.append(token)
        if not (words or redirections or assigns):
            raise Unclear
        return Simple(tuple(words), tuple(redirections))

    def _redirections(self) -> Redirections:
        found = []
        while isinstance(token := self.next, Redirection):
            self._place += 1
            target = self._take()
            if not isinstance(target, Word):
                raise Unclear
            found.append((token, target))
        return tuple(found)
