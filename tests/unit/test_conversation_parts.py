"""What is stored of a file that grows: a whole, then what changed, opened only as it was made."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftwork.codec.difference import apply, difference
from shiftwork.codec.keys import Key, KeyRing
from shiftwork.codec.parts import Parts, open_parts
from shiftwork.codec.sealing import Seal
from shiftwork.codec.sources import GivenKeys
from shiftwork.errors import CodecError

LIMIT = 1_000_000
CHANCE = random.Random(7)


def seal() -> Seal:
    return Seal(GivenKeys(KeyRing((Key.generate(),), "a test")))


def grown(content: bytes, number: int) -> bytes:
    """The next state of a conversation: another id at its beginning, and something new before its end."""
    return b"%08d" % number + content[8:-100] + CHANCE.randbytes(500) + content[-100:]


def stored(parts: Parts, states: list[bytes]) -> list[bytes]:
    """The parts that are in the database after these states; a whole takes the place of all."""
    kept: list[bytes] = []
    for state in states:
        part = parts.next(state)
        kept = [part.body] if part.whole else [*kept, part.body]
        parts.stored(part)
    return kept


pieces = st.lists(st.binary(max_size=300), max_size=12)


@given(st.data())
def test_the_new_version_comes_of_the_old_and_the_change(data):
    """If it failed, a conversation that is brought to another host would be another one."""
    old = data.draw(pieces)
    new = [piece for piece in old if data.draw(st.booleans())] + data.draw(pieces)
    before, after = b"".join(old), b"".join(data.draw(st.permutations(new)))
    change = difference(before, after)
    assert apply(before, change, LIMIT) == after
    assert len(change) <= len(after) + 1_000


def test_a_step_of_a_long_conversation_is_small():
    """If it failed, each step of a long session would cost what all of it costs."""
    before = CHANCE.randbytes(200_000)
    assert len(difference(before, grown(before, 1))) < 700
    assert len(difference(before, before[2_000:])) < 100
    assert len(difference(before, before)) < 100


def test_a_change_of_another_version_is_refused():
    """If it failed, parts that don't belong together would be gone on with."""
    before = CHANCE.randbytes(5_000)
    change = difference(before, grown(before, 1))
    for old, told in (
        (grown(before, 2), change),
        (before, change[:-1]),
        (before, change[:20]),
        (b"", change),
    ):
        with pytest.raises(ValueError, match="change"):
            apply(old, told, LIMIT)
    with pytest.raises(ValueError, match="more than 100 bytes"):
        apply(before, change, 100)


def test_what_was_stored_in_parts_is_opened_as_one():
    """If it failed, another host would go on from an older state, or from none."""
    own, states = seal(), [CHANCE.randbytes(50_000)]
    for number in range(40):
        states.append(grown(states[-1], number))
    kept = stored(Parts(own, "here"), states)
    assert len(kept) == len(states)
    assert sum(map(len, kept[1:])) < 40 * 1_000
    assert open_parts(own, b"".join(kept), "here", LIMIT) == states[-1]


def test_parts_are_as_many_and_as_large_as_pays():
    """If it failed, the copy of a long session would grow for ever, and take ever longer to open."""
    own, state = seal(), CHANCE.randbytes(20_000)
    parts, most = Parts(own, "here"), 0
    for number in range(400):
        state = grown(state, number)
        part = parts.next(state)
        most = 1 if part.whole else most + 1
        parts.stored(part)
        assert most <= 100
        if CHANCE.random() < 0.01:
            parts.forget()
            assert parts.next(state).whole


def test_parts_that_were_changed_are_refused():
    """If it failed, whoever can write to the database could put words into an agent's past."""
    own, states = seal(), [CHANCE.randbytes(5_000)]
    for number in range(3):
        states.append(grown(states[-1], number))
    first, *others = stored(Parts(own, "here"), states)
    another = stored(Parts(own, "here"), [CHANCE.randbytes(5_000)])[0]
    wrong = {
        "none": b"",
        "cut": (first + others[0])[:-1],
        "without its beginning": b"".join(others),
        "in another order": first + others[1] + others[0],
        "with one left out": first + others[0] + others[2],
        "of another whole": another + others[0],
        "of before there were parts": first[4:],
    }
    for how, body in wrong.items():
        with pytest.raises(CodecError):
            pytest.fail(f"{how}: {len(open_parts(own, body, 'here', LIMIT))} bytes")
    for key, place, limit in ((seal(), "here", LIMIT), (own, "elsewhere", LIMIT), (own, "here", 100)):
        with pytest.raises(CodecError):
            open_parts(key, first, place, limit)
