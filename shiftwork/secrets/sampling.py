"""Keyed digests of samples: of the pieces of a text that begin at every so many bytes of it.

A form that is found by them has the digest of each piece that may be the first, and of each that may be the
last one to lie in it, wherever it begins. So a text is looked through at a few of its places only, whose
digests AES makes all at once; and none of them tells more than whether a guess of a whole piece is right.
"""

import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

_WORD = 4
"""Bytes of a sample's digest that are kept; what they let through is looked at in full."""

_SHORT = 2
"""Bytes of the only step that is shorter than that."""

_BLOCK = 16
"""Bytes that AES takes at once; shorter samples are filled up."""

_PIECE = 1 << 16
"""Bytes of a text that are sampled at once; a multiple of every step."""


class Grid(NamedTuple):
    """How a text is sampled: `width` bytes at every `step`."""

    step: int
    width: int

    def holds(self, size: int) -> bool:
        """Whether in every text of this size, wherever it begins, a sample lies in each step's place."""
        return self.step + self.width - 1 <= size


_GRIDS = (Grid(16, 16), Grid(8, 16), Grid(4, 16), Grid(4, 12), Grid(4, 8), Grid(2, 8))


class Sampled(NamedTuple):
    """A form by its samples.

    Attributes:
        size: its bytes.
        grid: how it is sampled.
        firsts: digests of the samples that begin in its first bytes, as many as a step has.
        lasts: for each of these, that of the last one in the form on the same grid.
    """

    size: int
    grid: Grid
    firsts: bytes
    lasts: bytes

    def reach(self, offset: int) -> int:
        """Bytes from the sample that begins at this offset to the last one."""
        return (self.size - self.grid.width - offset) // self.grid.step * self.grid.step


def grid_for(size: int) -> Grid | None:
    """The widest grid for forms of this size; None if it is too short for any."""
    return next((grid for grid in _GRIDS if grid.holds(size)), None)


class Sampler:
    """Makes digests of samples; needs no state, so that threads may share one.

    Args:
        key: of any length; only who has it can make or compare digests.
    """

    def __init__(self, key: bytes) -> None:
        # Imported here: most commands look for nothing by its fingerprint, and it takes a while.
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415

        # Each block by itself: it is a keyed digest of just these bytes, and none is ever decrypted.
        own = hashlib.shake_256(b"samples" + key).digest(_BLOCK)
        self._cipher = Cipher(algorithms.AES(own), modes.ECB())  # noqa: S305

    def sampled(self, text: bytes, grid: Grid) -> Sampled:
        """A form by its samples."""
        made = Sampled(len(text), grid, b"", b"")
        offsets = range(grid.step)
        firsts = self._digests(text, grid, offsets)
        return made._replace(
            firsts=firsts, lasts=self._digests(text, grid, [at + made.reach(at) for at in offsets])
        )

    def words(self, data: bytes, grid: Grid) -> "Words":
        """The digests of all samples of the data."""
        update = self._cipher.encryptor().update
        if grid.width == _BLOCK:
            shifts = range(0, _BLOCK, grid.step)
            whole = [data[at : at + (len(data) - at) // _BLOCK * _BLOCK] for at in shifts]
            return Words([_first_words(update(each)) for each in whole], grid.step, _BLOCK)
        return Words([_first_words(update(_filled_up(data, grid)))], grid.step, grid.step)

    def _digests(self, text: bytes, grid: Grid, offsets: Iterable[int]) -> bytes:
        pieces = (text[at : at + grid.width].ljust(_BLOCK, b"\0") for at in offsets)
        return _first_words(self._cipher.encryptor().update(b"".join(pieces))).tobytes()


class Words:
    """The digests of a text's samples, in interleaved rows.

    Attributes:
        rows: the digests of each row, in their order.
    """

    def __init__(self, rows: Sequence["memoryview[int]"], step: int, stride: int) -> None:
        self.rows = rows
        self._step = step
        self._stride = stride

    def place(self, row: int, number: int) -> int:
        """Where this sample begins."""
        return row * self._step + number * self._stride

    def at(self, place: int) -> int | None:
        """The digest of the sample that begins there; None beyond the last one."""
        row, number = self.rows[place % self._stride // self._step], place // self._stride
        return row[number] if number < len(row) else None


class Sieve:
    """Tells where one of these forms may stand; a wrong guess is rare, whoever wrote the text."""

    def __init__(self, sampler: Sampler, forms: Iterable[Sampled]) -> None:
        self._sampler = sampler
        self._forms = tuple(forms)
        self._longest = max(form.size for form in self._forms)
        self._shortest = min(form.size for form in self._forms)
        # A finer grid has the samples of a coarser one, if they are as wide.
        self._grid = min(form.grid for form in self._forms)
        used = self._grid.step * _WORD
        self._firsts = frozenset(word for form in self._forms for word in _integers(form.firsts[:used]))
        # By the first digest, and how far off the last one is: by that one, where in it the form begins.
        self._known: dict[int, dict[int, dict[int, set[tuple[int, int]]]]] = {}

    def candidates(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Places and sizes for which the first and the last sample fit."""
        if len(data) < self._shortest:
            return
        for begin in range(0, len(data), _PIECE):
            words = self._sampler.words(data[begin : begin + _PIECE + self._longest], self._grid)
            for row in range(len(words.rows)):
                for place in self._fitting(words, row):
                    for offset, size in self._told(words, place):
                        if begin + place >= offset and begin + place - offset + size <= len(data):
                            yield begin + place - offset, size

    def _fitting(self, words: Words, row: int) -> Iterator[int]:
        """Places of first samples, without those that the next piece has; in the interpreter's C."""
        mine = words.rows[row][: -(-(_PIECE - words.place(row, 0)) // words.place(0, 1))]
        if self._firsts.isdisjoint(mine):  # as nearly always
            return
        fits = bytes(map(self._firsts.__contains__, mine))
        number = fits.find(1)
        while number >= 0:
            yield words.place(row, number)
            number = fits.find(1, number + 1)

    def _told(self, words: Words, place: int) -> Iterator[tuple[int, int]]:
        if not self._known:
            self._learn()
        first = words.at(place)
        assert first is not None
        for reach, lasts in self._known[first].items():
            last = words.at(place + reach)
            if last is not None:
                yield from lasts.get(last, ())

    def _learn(self) -> None:
        """Only done when something may have been found: most processes never find anything."""
        known: dict[int, dict[int, dict[int, set[tuple[int, int]]]]] = {}
        for form in self._forms:
            each = zip(_integers(form.firsts), _integers(form.lasts), strict=True)
            for offset, (first, last) in zip(range(self._grid.step), each, strict=False):
                lasts = known.setdefault(first, {}).setdefault(form.reach(offset), {})
                lasts.setdefault(last, set()).add((offset, form.size))
        self._known = known  # at once, for other threads


def sieves(sampler: Sampler, forms: Iterable[Sampled]) -> list[Sieve]:
    """As few as can find these forms: one for each width of their samples."""
    by_width: dict[int, list[Sampled]] = {}
    for form in forms:
        by_width.setdefault(form.grid.width, []).append(form)
    return [Sieve(sampler, each) for each in by_width.values()]


def _filled_up(data: bytes, grid: Grid) -> bytearray:
    """Every sample of the data as a block: in columns of a step's width, as it is quicker than one by one."""
    number = max(0, (len(data) - grid.width) // grid.step + 1)
    made = bytearray(number * _BLOCK)
    columns = _BLOCK // grid.step
    steps = _in_steps(data[: len(data) // grid.step * grid.step], grid.step)
    filled = _in_steps(made, grid.step)
    for column in range(grid.width // grid.step if number else 0):
        filled[column::columns] = steps[column : column + number]
    return made


def _in_steps(data: bytes | bytearray, step: int) -> "memoryview[int]":
    """The data as integers of so many bytes, as this machine reads them."""
    return memoryview(data).cast("H") if step == _SHORT else memoryview(data).cast("I")


def _first_words(encrypted: bytes) -> "memoryview[int]":
    return _in_steps(encrypted, _WORD)[:: _BLOCK // _WORD]


def _integers(digests: bytes) -> Iterator[int]:
    for place in range(0, len(digests), _WORD):
        yield int.from_bytes(digests[place : place + _WORD], sys.byteorder)
