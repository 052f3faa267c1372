"""Finding by samples: that it finds what looking everywhere does, and what it costs on hostile texts."""

import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftwork.secrets.fingerprints import Fingerprints, fingerprints, merged
from shiftwork.secrets.forms import SHORTEST, Form
from shiftwork.secrets.sampling import Sampler, Sieve, grid_for
from shiftwork.secrets.scanner import Span

KEY = bytes(range(32))


def everywhere(forms: dict[bytes, bytes], data: bytes) -> list[Span]:
    """The spans as they are found by looking for every form in every place."""
    found = (
        Span(hit.start(), hit.start() + len(form), label)
        for form, label in forms.items()
        for hit in re.finditer(b"(?=%s)" % re.escape(form), data)
    )
    return merged(found)


def by_samples(forms: dict[bytes, bytes]) -> Fingerprints:
    return Fingerprints([fingerprints({Form(text): label for text, label in forms.items()}, KEY)])


def labelled(texts: list[bytes]) -> dict[bytes, bytes]:
    return {text: b"[%d]" % len(text) for text in texts}


FEW = st.lists(st.sampled_from(b"ab"), min_size=SHORTEST, max_size=48).map(bytes)
ANY = st.binary(min_size=SHORTEST, max_size=80)


@settings(max_examples=200, deadline=None)
@given(st.lists(FEW | ANY, min_size=1, max_size=6), st.data())
def test_samples_find_what_looking_everywhere_does(texts, data):
    """If it failed, a client would let a secret through, or take out what is none."""
    forms = labelled(texts)
    parts = st.sampled_from(texts) | st.binary(max_size=20) | FEW
    parts |= st.sampled_from(texts).flatmap(lambda text: st.integers(0, len(text)).map(lambda at: text[at:]))
    parts |= st.sampled_from(texts).flatmap(lambda text: st.integers(0, len(text)).map(lambda at: text[:at]))
    text = b"".join(data.draw(st.lists(parts, max_size=8)))
    # A label says which form was found; of several in one span it is that of the first and longest.
    assert by_samples(forms).spans(text) == everywhere(forms, text)


@pytest.mark.parametrize("size", range(SHORTEST, 50))
def test_a_value_of_any_length_is_found_in_any_place(size):
    """If it failed, some value would stay in texts in which it begins at an unlucky place."""
    value = random.Random(size).randbytes(size)
    alone = by_samples(labelled([value]))
    # With others a text is sampled otherwise.
    others = [random.Random(-more).randbytes(more) for more in (SHORTEST, 14, 17, 20, 25, 60)]
    among = by_samples(labelled([value, *others]))
    for before in range(34):
        text = bytes(before) + value + b"."
        found = [Span(before, before + size, b"[%d]" % size)]
        assert alone.spans(text) == among.spans(text) == found
        assert alone.spans(text[:-2]) == []


@pytest.mark.parametrize("size", [10, 16, 20, 24, 40, 256])
def test_a_value_is_found_where_a_long_text_is_cut_for_looking(size):
    """If it failed, a secret that lies across two pieces of a large file would be stored."""
    value = random.Random(size).randbytes(size)
    prints = by_samples(labelled([value]))
    for begin in (
        *range((1 << 16) - size - 17, (1 << 16) - size + 17),
        *range((1 << 16) - 17, (1 << 16) + 18),
    ):
        text = bytes(begin) + value + bytes(70)
        assert prints.spans(text) == [Span(begin, begin + size, b"[%d]" % size)]


def test_samples_tell_nothing_without_the_key():
    """If it failed, two keys would make the same digests, and a list made in advance would find values."""
    value = b"canary-7Q2wXz9LmN4rT8vB"
    grid = grid_for(len(value))
    assert grid is not None
    one, other = (Sampler(key).sampled(value, grid).firsts for key in (KEY, KEY[::-1]))
    assert not {one[at : at + 4] for at in range(0, len(one), 4)} & {
        other[at : at + 4] for at in range(0, len(other), 4)
    }


@pytest.mark.parametrize("begin", [b"MIIEvQIBADANBgkq", b"a" * 40, b"ab" * 40])
def test_a_text_that_repeats_the_beginning_of_keys_gives_no_candidates(begin):
    """If it failed, whoever knows how all keys of a kind begin could hold up a client by a text."""
    keys = [begin + random.Random(n).randbytes(24 + 3 * n) for n in range(20)]
    sampler = Sampler(KEY)
    sieve = Sieve(sampler, [sampler.sampled(key, grid) for key in keys if (grid := grid_for(len(key)))])
    text = begin * (64_000 // len(begin))
    assert not list(sieve.candidates(text))
    assert [size for _, size in sieve.candidates(text + keys[4])] == [len(keys[4])]


def test_a_text_full_of_values_takes_time_in_proportion():
    """If it failed, a text of one letter could hold up a client for minutes."""
    prints = by_samples(labelled([b"a" * size for size in range(10, 60, 10)]))

    def seconds(size: int) -> float:
        started = time.process_time()
        assert prints.spans(b"a" * size) == [Span(0, size, b"[50]")]
        return time.process_time() - started

    assert min(seconds(10_000) for _ in range(3)) < 40 * min(seconds(1_000) for _ in range(3))
