"""Fingerprints of known values: whoever has them finds the values in texts, and can't tell what they are.

Of each form of a value its length is kept, a keyed digest (HMAC-SHA-256), and the sums of the keyed weights
of its first bytes and of all its bytes. Sums are cheap to have of every place of a text: digests are made
only where both fit, so that a text that repeats how known keys begin needs none.
"""

import hashlib
import hmac
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from operator import sub
from typing import Any, NamedTuple

from shiftwork.secrets.forms import SHORTEST, Form, tail_pattern
from shiftwork.secrets.scanner import Span
from shiftwork.secrets.views import View, without_escapes, without_line_ends

VERSION = 2

_WINDOWS = (16, SHORTEST)
"""Bytes at a form's beginning whose weights are summed: as many of it as one of these takes in."""

_DIGEST_BYTES = 16
_WEIGHT_BYTES = 2
_PIECE = 1 << 16
"""Bytes of a text of which sums are had at once."""

_AS_IT_IS, _WRAPPED, _SPELT = "as it is", "wrapped", "spelt"
"""How a text is read: also without line ends, also without what JSON escapes."""

_ENCODED = re.compile(rb"[0-9A-Za-z+/_-]{10,}")
"""What base64 and hexadecimal digits are made of; no form that wraps holds anything else."""


class Fingerprint(NamedTuple):
    """One form of a known value.

    Attributes:
        size: its bytes.
        window: how many of its first bytes are summed.
        sum: of their weights.
        whole: the sum of the weights of all its bytes.
        digest: its HMAC-SHA-256, the first half of it.
        view: how a text is read to find it.
        tail: see `Form`.
        label: what is shown in its place.
    """

    size: int
    window: int
    sum: int
    whole: int
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
    weights = _weights(key)
    made = []
    for form, label in sorted(labels.items()):
        view = _SPELT if form.escapes else _WRAPPED if form.wraps else _AS_IT_IS
        text = without_escapes(form.text).data if form.escapes else form.text
        size = len(text)
        window = next((width for width in _WINDOWS if width <= size), 0)
        if not window:
            continue
        each = [weights[byte] for byte in text]
        digest = b64encode(_digest(key, text)).decode()
        made.append([size, window, sum(each[:window]), sum(each), digest, view, form.tail, label.decode()])
    return json.dumps({"version": VERSION, "key": b64encode(key).decode(), "forms": made}).encode()


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
        bare = without_line_ends(data)
        if not bare:  # nothing can be wrapped: looking once is enough
            hits = [hit for table in self._flat for hit in table.hits(data, 0)]
        else:
            hits = [hit for table in self._tables[_AS_IT_IS] for hit in table.hits(data, 0)]
            for run in _ENCODED.finditer(bare.data) if self._tables[_WRAPPED] else ():
                hits += _placed(bare, run[0], run.start(), self._tables[_WRAPPED])
        if self._tables[_SPELT]:
            hits += self._spelt(data)
        return merged(_whole(data, *hit) for hit in hits)

    def _spelt(self, data: bytes) -> Iterator["_Hit"]:
        """What is found without escapes: twice, as a backslash that was escaped itself may seem to escape."""
        tables = self._tables[_SPELT]
        if b"\\" in data and (once := without_escapes(data)):
            yield from _placed(once, once.data, 0, tables)
            if b"\\" in once.data and (twice := without_escapes(once.data)):
                for begin, end, found in _placed(twice, twice.data, 0, tables):
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
        self._weights = _weights(key)
        self._found = {each.digest: each for each in prints}
        self._longest = max(each.size for each in self._found.values())
        # By window and sum, for each size: the sums of all bytes.
        self._sizes: dict[int, dict[int, dict[int, set[int]]]] = {}
        for each in self._found.values():
            sizes = self._sizes.setdefault(each.window, {}).setdefault(each.sum, {})
            sizes.setdefault(each.size, set()).add(each.whole)

    def hits(self, data: bytes, offset: int) -> Iterator[_Hit]:
        """What is found in the data, its places counted from `offset` on."""
        for position, size in self._candidates(data):
            text = data[position : position + size]
            if found := self._found.get(_digest(self._key, text)):
                yield offset + position, offset + position + size, found

    def _candidates(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Places and sizes for which the sums fit; all of it is looped over by the interpreter's own C."""
        for begin in range(0, len(data), _PIECE):
            piece = data[begin : begin + _PIECE + self._longest]
            sums = [0, *accumulate(map(self._weights.__getitem__, piece))]
            for window, sizes in self._sizes.items():
                totals = list(map(sub, sums[window : window + _PIECE], sums))  # one for each place
                fits = bytes(map(sizes.__contains__, totals))
                place = fits.find(1)
                while place >= 0:
                    for size, wholes in sizes[totals[place]].items():
                        if place + size <= len(piece) and sums[place + size] - sums[place] in wholes:
                            yield begin + place, size
                    place = fits.find(1, place + 1)


def _placed(view: View, data: bytes, offset: int, tables: Iterable[_Table]) -> Iterator[_Hit]:
    """The hits in data that stands at this offset of a view, by their places in what that is a view of."""
    for table in tables:
        for begin, end, found in table.hits(data, offset):
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
    size, window, total, whole, digest, view, tail, label = fields
    return Fingerprint(size, window, total, whole, b64decode(digest), view, tail, label.encode())


def _weights(key: bytes) -> tuple[int, ...]:
    """One for each byte that there is."""
    stream = hashlib.shake_256(b"weights" + key).digest(256 * _WEIGHT_BYTES)
    return tuple(
        int.from_bytes(stream[place : place + _WEIGHT_BYTES], "big")
        for place in range(0, len(stream), _WEIGHT_BYTES)
    )


def _digest(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")[:_DIGEST_BYTES]
