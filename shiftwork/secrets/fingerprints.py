"""Fingerprints of known values: whoever has them finds the values in texts, and can't tell what they are.

Of each form of a value its length is kept, a keyed digest of the whole (HMAC-SHA-256), and keyed digests of a
few samples of it (see `sampling`), by which places are found that are worth the whole one.
"""

import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from shiftwork.secrets.forms import Form, tail_pattern
from shiftwork.secrets.sampling import Grid, Sampled, Sampler, grid_for, sieves
from shiftwork.secrets.scanner import Span
from shiftwork.secrets.views import View, has_line_ends, without_escapes, without_line_ends

VERSION = 3

_DIGEST_BYTES = 16

_AS_IT_IS, _WRAPPED, _SPELT = "as it is", "wrapped", "spelt"
"""How a text is read: also without line ends, also without what JSON escapes."""


class Fingerprint(NamedTuple):
    """One form of a known value.

    Attributes:
        sampled: its size, and digests of samples of it.
        digest: its HMAC-SHA-256, the first half of it.
        view: how a text is read to find it.
        tail: see `Form`.
        label: what is shown in its place.
    """

    sampled: Sampled
    digest: bytes
    view: str
    tail: str
    label: bytes


def fingerprints(labels: Mapping[Form, bytes], key: bytes) -> bytes:
    """A document with the fingerprints of these forms, for `Fingerprints`; it is to be kept encrypted.

    Args:
        labels: what is shown in each form's place.
        key: 32 bytes. Whoever has the document and not the key, which is in it, too, could try out guesses.
    """
    sampler = Sampler(key)
    made = []
    for form, label in sorted(labels.items()):
        view = _SPELT if form.escapes else _WRAPPED if form.wraps else _AS_IT_IS
        text = without_escapes(form.text).data if form.escapes else form.text
        if grid := grid_for(len(text)):
            sampled = sampler.sampled(text, grid)
            digests = map(_encoded, (_digest(key, text), sampled.firsts, sampled.lasts))
            made.append([len(text), *grid, *digests, view, form.tail, label.decode()])
    return json.dumps({"version": VERSION, "key": _encoded(key), "forms": made}).encode()


class Fingerprints:
    """What several processes know, to be found in texts by a process that does not.

    Args:
        documents: what `fingerprints` made; one of another version is left out.
    """

    def __init__(self, documents: Iterable[bytes] = ()) -> None:
        found: dict[bytes, list[Fingerprint]] = {}
        for document in documents:
            read = json.loads(document)
            if read["version"] == VERSION:
                found.setdefault(b64decode(read["key"]), []).extend(map(_read, read["forms"]))
        self._tables = {view: _tables(found, view) for view in (_AS_IT_IS, _WRAPPED, _SPELT)}
        self._flat = _tables(found, _AS_IT_IS, _WRAPPED)

    def spans(self, data: bytes) -> list[Span]:
        """Where the values are, in their order; what two of them have in common is in one span."""
        if not has_line_ends(data):  # nothing can be wrapped: looking once is enough
            hits = [hit for table in self._flat for hit in table.hits(data)]
        else:
            hits = [hit for table in self._tables[_AS_IT_IS] for hit in table.hits(data)]
            if self._tables[_WRAPPED]:
                hits += _placed(without_line_ends(data), self._tables[_WRAPPED])
        if self._tables[_SPELT]:
            hits += self._spelt(data)
        return merged(_whole(data, *hit) for hit in hits)

    def _spelt(self, data: bytes) -> Iterator["_Hit"]:
        """What is found without escapes: twice, as a backslash that was escaped itself may seem to escape."""
        tables = self._tables[_SPELT]
        if b"\\" in data and (once := without_escapes(data)):
            yield from _placed(once, tables)
            if b"\\" in once.data and (twice := without_escapes(once.data)):
                for begin, end, found in _placed(twice, tables):
                    yield once.begin(begin), once.end(end), found


def merged(spans: Iterable[Span]) -> list[Span]:
    """The spans in their order, overlapping ones as one, which has the label of the first and longest."""
    done: list[Span] = []
    for span in sorted(spans, key=lambda each: (each.start, -each.end)):
        if done and span.start < done[-1].end:
            done[-1] = done[-1]._replace(end=max(span.end, done[-1].end))
        else:
            done.append(span)
    return done


def replaced(data: bytes, spans: Iterable[Span]) -> bytes:
    """The data with each span's label in its place."""
    out: list[bytes] = []
    position = 0
    for span in spans:
        out += (data[position : span.start], span.label)
        position = span.end
    return b"".join((*out, data[position:]))


_Hit = tuple[int, int, Fingerprint]


class _Table:
    """The fingerprints of one key, all of them of texts that are read in one way."""

    def __init__(self, key: bytes, prints: Iterable[Fingerprint]) -> None:
        self._key = key
        self._found = {each.digest: each for each in prints}
        self._sieves = sieves(Sampler(key), (each.sampled for each in self._found.values()))

    def hits(self, data: bytes) -> Iterator[_Hit]:
        """What is found in the data."""
        for sieve in self._sieves:
            for position, size in sieve.candidates(data):
                if found := self._found.get(_digest(self._key, data[position : position + size])):
                    yield position, position + size, found


def _placed(view: View, tables: Iterable[_Table]) -> Iterator[_Hit]:
    """The hits in a view, by their places in what that is a view of."""
    for table in tables:
        for begin, end, found in table.hits(view.data):
            yield view.begin(begin), view.end(end), found


def _whole(data: bytes, begin: int, end: int, found: Fingerprint) -> Span:
    """The span of a hit, with what goes on after it."""
    tail = tail_pattern(found.tail)
    follows = tail.match(data, end) if tail else None
    return Span(begin, follows.end() if follows else end, found.label)


def _tables(found: Mapping[bytes, Sequence[Fingerprint]], *views: str) -> list[_Table]:
    chosen = {key: [each for each in prints if each.view in views] for key, prints in found.items()}
    return [_Table(key, prints) for key, prints in chosen.items() if prints]


def _read(fields: list[Any]) -> Fingerprint:
    size, step, width, digest, firsts, lasts, view, tail, label = fields
    sampled = Sampled(size, Grid(step, width), b64decode(firsts), b64decode(lasts))
    return Fingerprint(sampled, b64decode(digest), view, tail, label.encode())


def _encoded(data: bytes) -> str:
    return b64encode(data).decode()


def _digest(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")[:_DIGEST_BYTES]
