"""No commit adds a secret: what a snapshot would add is looked through, and refused by name."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice

from shiftwork.errors import SecretRefused
from shiftwork.secrets.certain import tokens
from shiftwork.secrets.redactor import Redactor
from shiftwork.secrets.scanner import Hit, compile_bytes
from shiftwork.text import printable

SCAN_BYTES = 100 * 1024 * 1024
"""How much of one file is looked through."""

MAX_FINDINGS = 10_000
"""How many findings are kept for one file; with more it is refused, whatever it held before."""

MAX_ADDED = 30_000
"""How many findings are kept in all; with more the files so far are refused, whatever they held before."""

_BINARY_PROBE = 8_000  # as git does: a file with a NUL in its first bytes is binary
# By RE2, which lets other threads run meanwhile: a line may be as long as a file.
_HERE = compile_bytes(rb"pragma: ?allowlist secret")
_NEXT = compile_bytes(rb"pragma: ?allowlist nextline secret")
_NEVER = -1  # no hash is this: it stands for what can't be excused
_PRAGMA = ", or, if a token is no secret, put the comment 'pragma: allowlist secret' on its line"
_NAMED = 20  # findings in one sentence


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A secret in a file. The value is not part of it.

    Attributes:
        path: the file's path in the repository.
        line: from 1; 0 for the path itself.
        kind: the known secret's name, or the kind of token.
        digest: tells two secrets apart within this process; says nothing of them.
        known: it is a known secret, which nothing allows.
    """

    path: str
    line: int
    kind: str
    digest: int = 0
    known: bool = False


@dataclass(frozen=True, slots=True)
class Allowed:
    """Where a token is meant to be: paths, as patterns of the shell. A known value is allowed nowhere."""

    paths: tuple[str, ...] = ()

    def __contains__(self, path: str) -> bool:
        return any(fnmatchcase(path, pattern) for pattern in self.paths)


Tick = Callable[[], None]


def _untimed() -> None:
    """A `Tick` of what may take as long as it takes."""


def find_secrets(
    path: str,
    data: bytes,
    redactor: Redactor,
    allowed: Allowed | None = None,
    *,
    tick: Tick = _untimed,
) -> list[Finding]:
    """The secrets in a file's content and path.

    Known values are looked for in everything. Tokens of an unmistakable shape only in paths and text, outside
    the allowed paths and the lines marked `pragma: allowlist secret`, and unless they are placeholders. It
    takes time in proportion to the data, and calls `tick` for each token, which may raise.
    """
    data = data[:SCAN_BYTES]
    is_allowed = path in (allowed or Allowed())
    name = _in_path(path, redactor, known_alone=is_allowed)
    found = [name] if name else []
    shown = name.path if name else path
    found += _Look(shown, data, tick).known(redactor)
    if not is_allowed and b"\0" not in data[:_BINARY_PROBE]:
        found += _Look(shown, data, tick).tokens(redactor)
    if len(found) > MAX_FINDINGS:
        return [*found[:MAX_FINDINGS], Finding(shown, 0, f"more than {MAX_FINDINGS:,} secrets", _NEVER)]
    return found


def _in_path(path: str, redactor: Redactor, *, known_alone: bool) -> Finding | None:
    """The secret in a path, as it is or as it is shown, if there is one."""
    for seen in dict.fromkeys((path, printable(path))):
        data = seen.encode("utf-8", "surrogateescape")
        if kind := redactor.known_in(data):
            return Finding(redactor.redact(seen), 0, kind, known=True)
        for hit, _ in () if known_alone else tokens(redactor.unmistakable, data):
            return Finding(redactor.redact(seen), 0, _kind(hit))
    return None


def check_added(
    blobs: Iterable[tuple[str, bytes]], redactor: Redactor, allowed: Allowed | None = None
) -> None:
    """Raise `SecretRefused` if one of these files, by path and content, holds a secret."""
    added = AddedSecrets(redactor, allowed)
    for path, data in blobs:
        added.look(path, data)
    added.refuse()


class AddedSecrets:
    """Gathers what a snapshot would add: `look` at each new content, `excuse` what the base has, `refuse`."""

    def __init__(self, redactor: Redactor, allowed: Allowed | None = None) -> None:
        self._redactor = redactor
        self._allowed = allowed
        self._found: dict[str, list[Finding]] = {}
        self._number = 0

    def look(self, path: str, data: bytes, tick: Tick = _untimed) -> None:
        """Take a new or changed file; raises `SecretRefused` at once if there are too many secrets."""
        if found := find_secrets(path, data, self._redactor, self._allowed, tick=tick):
            self._found[path] = found
            self._number += len(found)
        if self._number > MAX_ADDED:
            self.refuse()

    @property
    def suspects(self) -> tuple[str, ...]:
        """Paths that hold something, as they were given."""
        return tuple(self._found)

    def excuse(self, path: str, before: bytes, tick: Tick = _untimed) -> None:
        """Forget what this path held already: the commit doesn't add it."""
        held = {finding.digest for finding in find_secrets(path, before, self._redactor, tick=tick)}
        held -= {_NEVER}
        self._found[path] = [finding for finding in self._found[path] if finding.digest not in held]

    def refuse(self) -> None:
        """Raise `SecretRefused` if anything is left; it names paths, lines and kinds, never a value."""
        left = [finding for found in self._found.values() for finding in found]
        if not left:
            return
        named = ", ".join(f"{_place(finding)} ({finding.kind})" for finding in left[:_NAMED])
        more = f", and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
        tokens_left = any(not finding.known for finding in left)
        advice = f"; remove them{_PRAGMA if tokens_left else ''}."
        raise SecretRefused(
            f"The work can't be committed: it would add secrets: {named}{more}{advice}",
            sorted({finding.path for finding in left}),
        )


def _place(finding: Finding) -> str:
    return f"{finding.path!r}, line {finding.line}" if finding.line else f"the name of {finding.path!r}"


def _kind(hit: Hit) -> str:
    return hit.label.decode().partition(":")[2].removesuffix("]")


class _Look:
    """One way through a file."""

    def __init__(self, path: str, data: bytes, tick: Tick) -> None:
        self._path = path
        self._data = data
        self._tick = tick
        self._line = 1
        self._counted = 0
        self._marks = Marks(data)

    def known(self, redactor: Redactor) -> list[Finding]:
        found: list[Finding] = []
        position = 0
        hits = redactor.known.hits(self._data)
        while len(found) <= MAX_FINDINGS and (hit := hits.after(position)):
            self._tick()
            found.append(self._finding(hit, hit.end, known=True))
            position = hit.end
        return found

    def tokens(self, redactor: Redactor) -> list[Finding]:
        every = tokens(redactor.unmistakable, self._data, self._tick)
        found = (hit for hit in every if not self._marks.allow(hit[0].start))
        return [self._finding(hit, end) for hit, end in islice(found, MAX_FINDINGS + 1)]

    def _finding(self, hit: Hit, end: int, *, known: bool = False) -> Finding:
        self._line += self._data.count(b"\n", self._counted, hit.start)
        self._counted = hit.start
        return Finding(self._path, self._line, _kind(hit), hash(self._data[hit.start : end]), known)


class Marks:
    """Which lines allow tokens; asked about places in their order, it looks at each line once.

    Attributes:
        searched: bytes that were searched for marks so far.
    """

    def __init__(self, data: bytes) -> None:
        self.searched = 0
        self._data = data
        self._begin = self._end = -1
        self._allowed = False

    def allow(self, position: int) -> bool:
        """Whether the line of this place is marked, or the line before it marks it."""
        if not self._begin <= position <= self._end:
            self._look(position)
        return self._allowed

    def _look(self, position: int) -> None:
        data = self._data
        begin = data.rfind(b"\n", max(0, self._end), position) + 1
        end = data.find(b"\n", position)
        before = data.rfind(b"\n", 0, max(0, begin - 1)) + 1
        self._begin, self._end = begin, len(data) if end < 0 else end
        self.searched += self._end - before
        here = _HERE.search(data, begin, self._end)
        self._allowed = bool(here or _NEXT.search(data, before, begin))
