"""What changed between two versions of a file, small where most of it stayed; quick rather than smallest."""

import struct
from hashlib import sha256

_DIGEST_BYTES = 16
_HEAD = struct.Struct(">III")
"""Of one step: where to take from the old version, how many bytes, and how many new ones follow here."""

_PIECE = 4096
_ANCHOR = 32
"""So many bytes that are found again are no accident."""

_FIRST_DISTANCE = 16
_REACH = 64 * 1024
"""How much farther on in the old version a piece is looked for."""

_MOST_STEPS = 64
"""What differs in more places is told as it is, so that no content takes long."""


def difference(old: bytes, new: bytes) -> bytes:
    """What `apply` makes `new` of, given `old`; hardly larger than `new` whatever the two are."""
    steps: list[bytes] = []
    at = start = 0
    while at < len(new):
        same = 0
        fresh_end, next_start = len(new), start
        if len(steps) < _MOST_STEPS:
            same = _same(old, start, new, at)
            fresh_end, next_start = _next_match(old, start + same, new, at + same)
        fresh = new[at + same : fresh_end]
        steps.append(_HEAD.pack(start, same, len(fresh)) + fresh)
        at, start = fresh_end, next_start
    return sha256(new).digest()[:_DIGEST_BYTES] + b"".join(steps)


def apply(old: bytes, change: bytes, limit: int) -> bytes:
    """The new version; raises `ValueError` if the change is not one of this old version, or is too large."""
    digest, at = change[:_DIGEST_BYTES], _DIGEST_BYTES
    pieces, size = [], 0
    while at < len(change):
        if len(change) < at + _HEAD.size:
            raise ValueError("the change ends too early")
        start, same, fresh = _HEAD.unpack_from(change, at)
        at += _HEAD.size
        pieces += [old[start : start + same], change[at : at + fresh]]
        at += fresh
        size += same + fresh
        if size > limit:
            raise ValueError(f"more than {limit} bytes come of it")
    new = b"".join(pieces)
    if sha256(new).digest()[:_DIGEST_BYTES] != digest:
        raise ValueError("the change is one of another version")
    return new


def _same(old: bytes, start: int, new: bytes, at: int) -> int:
    """How many bytes are the same from there on."""
    most, count = max(0, min(len(old) - start, len(new) - at)), 0
    step = min(_PIECE, most)
    while step:
        end = count + step
        if end <= most and old[start + count : start + end] == new[at + count : at + end]:
            count = end
        else:
            step //= 2
    return count


def _next_match(old: bytes, start: int, new: bytes, at: int) -> tuple[int, int]:
    """Where the two run together again: in the new version, and in the old one."""
    distance = _FIRST_DISTANCE
    while len(anchor := new[at + distance : at + distance + _ANCHOR]) == _ANCHOR:
        found = start + distance
        if old[found : found + _ANCHOR] != anchor:
            found = old.find(anchor, start, start + distance + _REACH)
        if found >= 0:
            back = _same_before(old[start:found], new[at : at + distance])
            return at + distance - back, found - back
        distance *= 2
    return len(new), start


def _same_before(old: bytes, new: bytes) -> int:
    """How many bytes are the same at the ends."""
    return _same(old[::-1], 0, new[::-1], 0)
