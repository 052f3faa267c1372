"""Fingerprints of secrets: what is found by them, what they tell, and what they cost."""

import base64
import json
import random
import string
import time
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftwork.secrets import Fingerprints, LazyRedactor, Redactor, Secret
from tests.unit.pace_support import paces

KEY = bytes(range(32))
VALUE = "canary-7Q2wXz9LmN4rT8vB"
ODD = "p@ss/w&o'r\"d+1=ü😀\\, two words"
LONG = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=700))
FRAMED = "-----BEGIN X-----\n" + "aB3d" * 16 + "\n" + "eF5g" * 9 + "\n-----END X-----\n"
SERVICE = json.dumps({"private_key": FRAMED})
SECRETS = [Secret("A", VALUE), Secret("ODD", ODD), Secret("LONG", LONG), Secret("SERVICE", SERVICE)]


def recognising(*secrets: Secret) -> Redactor:
    """A redactor that knows nothing but what these secrets' fingerprints tell."""
    return Redactor().recognising(Fingerprints([Redactor(secrets).fingerprints(KEY)]))


BY_VALUE, BY_PRINT = Redactor(SECRETS), recognising(*SECRETS)


def wrapped(text: str, size: int = 64, end: str = "\n") -> str:
    """The text in lines."""
    return end.join(text[at : at + size] for at in range(0, len(text), size))


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("value", [VALUE, ODD, LONG])
@pytest.mark.parametrize(
    "write",
    [
        str,
        lambda value: f"a{value}b{value}{value}",
        json.dumps,
        lambda value: json.dumps(json.dumps(value)),
        lambda value: quote(value, safe=""),
        repr,
        base64_of,
        lambda value: base64_of("x" + value + "yz"),
        lambda value: wrapped(base64_of("xy" + value + " and more")),
        lambda value: wrapped(base64_of(value), 11, "\r\n"),
        lambda value: json.dumps(wrapped(base64_of(value), 16)),
        lambda value: value.encode().hex(),
        lambda value: wrapped(value.encode().hex().upper(), 32),
        lambda value: "\n\n" + value + "\n" + value.encode().hex() + "\n",
        lambda value: "x" * 65_530 + value + "y" * 70_000 + value,
    ],
)
def test_all_that_a_redactor_knows_is_recognised(value, write):
    """If it failed, a client would let a form of a secret through that the worker takes out."""
    text = f"before {write(value)} after"
    assert BY_PRINT.redact(text) == BY_VALUE.redact(text) != text


def by_number(text: str, escape: str = "\\u") -> str:
    """Each character as JSON may write it."""
    units = text.encode("utf-16-be").hex()
    return "".join(escape + units[at : at + 4] for at in range(0, len(units), 4))


@pytest.mark.parametrize("value", [VALUE, ODD])
@pytest.mark.parametrize(
    "write",
    [
        by_number,
        lambda value: json.dumps(by_number(value)),
        lambda value: by_number("é, ") + by_number(value).upper().replace("U", "u") + '\\"',
        lambda value: by_number("\\") + r"\\\ " + by_number(value[:5]) + json.dumps(value[5:])[1:-1],
        lambda value: json.dumps(value).replace("/", "\\/").replace("w", by_number("w", r"\\u")),
    ],
)
def test_what_json_escapes_is_recognised(value, write):
    """If it failed, a client would let a secret through of which another program escaped some characters."""
    text = f"before {write(value)} after"
    assert BY_PRINT.redact(text) == BY_VALUE.redact(text) != text


@pytest.mark.parametrize("value", ['pa\\"ss/W0rd-Xyz', "a\\'b\\'c-7Q2wXz9L", "c:\\\\Qx7\\\\Lm4-vB"])
@pytest.mark.parametrize(
    "write",
    [
        json.dumps,
        by_number,
        lambda value: json.dumps(by_number(value)),
        lambda value: json.dumps(value[:4])[1:-1] + by_number(value[4:]),
        lambda value: by_number(value[:4]) + json.dumps(value[4:])[1:-1],
    ],
)
def test_a_backslash_of_the_value_that_is_escaped_itself_is_recognised(value, write):
    """If it failed, a client would let a password through that has a backslash before a quote."""
    text = f"before {write(value)} after"
    assert recognising(Secret("A", value)).redact(text) == Redactor([Secret("A", value)]).redact(text)
    assert recognising(Secret("A", value)).secret_in(text) == "A"


def test_lines_of_a_key_file_are_recognised():
    """If it failed, a key pasted without its frame would be stored."""
    assert BY_PRINT.redact("eF5g" * 9) == "[redacted:SERVICE]"
    assert BY_PRINT.secret_in({"a": ["b", {"c": "aB3d" * 16}]}) == "SERVICE"


PARTS = [VALUE, VALUE[:-1], ODD, base64_of(VALUE), VALUE.encode().hex(), "\n", "\\n", "ü", "x", "\\", '"']
PARTS += [by_number(VALUE[:4]) + VALUE[4:], json.dumps(by_number(ODD)), by_number("ü")]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(PARTS) | st.text(max_size=8),
        max_size=12,
    )
)
def test_any_text_is_redacted_as_by_value(parts):
    """If it failed, a client would alter texts that hold no secret, or leave one."""
    text = "".join(parts)
    assert (BY_PRINT.redact(text) == text) == (BY_VALUE.redact(text) == text)
    for form in (VALUE, ODD, base64_of(VALUE), VALUE.encode().hex()):
        assert form not in BY_PRINT.redact(text)
    assert BY_PRINT.secret_in(text) == BY_VALUE.secret_in(text)


def test_nested_values_and_headers_are_redacted_as_before():
    """If it failed, JSON of a client would go to the database with what its texts may not hold."""
    told = {VALUE: ["x", {"Authorization": f"Basic {VALUE}"}], "n": 1}
    assert BY_PRINT.redact_json(told) == BY_VALUE.redact_json(told)
    assert BY_PRINT.redact_exact({"a": "b"}) == {"a": "b"}


@pytest.mark.parametrize(
    ("known", "recognised"), [(VALUE, VALUE[4:-4]), (VALUE[4:-4], VALUE), (VALUE[:-4], VALUE[4:])]
)
def test_what_one_knows_and_another_recognises_goes_as_one(known, recognised):
    """If it failed, a part of one secret would be left where the other one was taken out."""
    prints = Fingerprints([Redactor([Secret("B", recognised)]).fingerprints(KEY)])
    redactor = Redactor([Secret("A", known)]).recognising(prints)
    shown = redactor.redact(f"<{VALUE}>")
    assert shown in ("<[redacted:A]>", "<[redacted:B]>")


def test_several_workers_are_recognised():
    """If it failed, only what one of the workers knows would be kept out."""
    documents = [
        Redactor([Secret("ONE", VALUE)]).fingerprints(KEY),
        Redactor([Secret("TWO", LONG[:40])]).fingerprints(KEY),
        Redactor([Secret("THREE", LONG[100:150])]).fingerprints(KEY[::-1]),
        json.dumps({"version": 99, "anything": "else"}).encode(),
    ]
    redactor = Redactor().recognising(Fingerprints(documents))
    text = f"{VALUE} {LONG[:40]} {LONG[100:150]}"
    assert redactor.redact(text) == "[redacted:ONE] [redacted:TWO] [redacted:THREE]"


def test_a_lazy_redactor_recognises_before_and_after_it_is_made():
    """If it failed, a client that learns what a worker knows would go on without it."""
    first, second = (Fingerprints([Redactor([Secret(v, v)]).fingerprints(KEY)]) for v in (VALUE, LONG[:30]))
    lazy = LazyRedactor({})
    lazy.recognise(first)
    assert lazy.secret_in(VALUE) is not None
    lazy.learn(Secret("own", LONG[60:90]))
    assert (lazy.secret_in(VALUE) is not None, lazy.secret_in(LONG[60:90])) == (True, "own")
    lazy.recognise(second)
    assert (lazy.secret_in(VALUE), lazy.secret_in(LONG[:30]) is not None) == (None, True)


def test_a_document_tells_no_value():
    """If it failed, whoever opens what a worker published would read its secrets."""
    document = BY_VALUE.fingerprints(KEY)
    for value in (VALUE, ODD, LONG):
        assert all(value[at : at + 6].encode() not in document for at in range(len(value) - 6))
    assert document == Redactor(reversed(SECRETS)).fingerprints(KEY)


def test_a_large_text_takes_no_time():
    """If it failed, a client would stand still before each long specification."""
    rng = random.Random(7)
    alphabet = string.ascii_letters + string.digits
    secrets = [Secret(f"S{n}", "".join(rng.choices(alphabet, k=12 + 5 * (n % 10)))) for n in range(50)]
    words = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 12))) for _ in range(5000)]
    prose = "".join(rng.choice(words) + rng.choice("    \n") for _ in range(135_000))[:1_000_000]
    digits = rng.randbytes(500_000).hex()
    redactor = recognising(*secrets)
    for text in (prose, digits, wrapped(digits)):
        found = []
        data = f"{text}{secrets[3].reveal()}".encode()
        assert paces(lambda data=data, found=found: found.extend(redactor.prints.spans(data))) < 200
        assert found


def test_a_text_that_repeats_the_beginning_of_keys_needs_no_digests():
    """If it failed, whoever knows how all keys of a kind begin could hold up a client by a text."""
    rng = random.Random(3)
    begin = "MIIEvQIBADANBgkq"
    keys = [f"{begin}{base64.b64encode(rng.randbytes(12 + 3 * n)).decode()}" for n in range(20)]
    prints = recognising(*(Secret("KEY", key) for key in keys)).prints
    assert prints.spans(f"x{keys[7]}y".encode()) == [(1, 1 + len(keys[7]), b"[redacted:KEY]")]

    def seconds(text: str) -> float:
        times = []
        for _ in range(3):
            started = time.process_time()
            assert prints.spans(text.encode()) == []
            times.append(time.process_time() - started)
        return min(times)

    # Twenty lengths to look at in each place; with digests it was more than 500 times as long.
    assert seconds(begin * 2_000) < 120 * seconds("ordinary words, " * 2_000)
