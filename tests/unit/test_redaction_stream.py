"""A stream that comes in pieces is redacted as the whole would be."""

import base64
import itertools

from hypothesis import example, given, settings
from hypothesis import strategies as st

from shiftwork.secrets import Redactor, Secret
from shiftwork.secrets.forms import is_weak

ONE, TWO = "s3cr3t-Valué/+0", "abcabcabcabc"
REDACTOR = Redactor([Secret("one", ONE), Secret("two", TWO), Secret("three", "line-one!\nline-two!")])
TOKEN = "ghp_" + "a1B2c3D4e5" * 4
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.TJVA95OrM7E2cBab30RM"
KEY = "-----BEGIN EC PRIVATE KEY-----\n" + "MHcCAQEE0123456789" * 6 + "\n-----END EC PRIVATE KEY-----"
PIECES = [
    *(
        ONE,
        ONE[:7],
        ONE[5:],
        TWO,
        TWO[:5],
        "line-one!",
        "line-two!",
        TOKEN,
        TOKEN[:20],
        JWT,
        JWT[:30],
        KEY,
        KEY[:60],
    ),
    *(base64.encodebytes(b"k=%s;" % (ONE.encode() * n)).decode() for n in (1, 2, 5)),
    *(
        " ",
        "\n",
        "é",
        "a",
        "_",
        "-",
        "\\n",
        "sk-",
        "eyJ",
        "https://",
        "user:pass-word@",
        "Bearer ",
        "[redacted:one]",
    ),
]
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=5)), max_size=12).map("".join)
CUTS = st.lists(st.integers(0, 400), max_size=40)


def pieces(data, cuts):
    """The data cut at these places."""
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def fed(stream, parts):
    """All that a stream puts out."""
    return [*(stream.feed(part) for part in parts), stream.close()]


@settings(max_examples=300)
@given(TEXTS, CUTS)
@example(KEY + KEY, [30, 31, 90])
@example(f"x{TOKEN}{TOKEN}", list(range(90)))
def test_pieces_come_out_as_the_whole(text, cuts):
    """If this failed, a secret could slip through where two pieces of output meet."""
    data = text.encode()

    assert b"".join(fed(REDACTOR.stream(), pieces(data, cuts))) == REDACTOR.redact(data)


@settings(max_examples=100)
@given(TEXTS)
def test_single_bytes_come_out_as_the_whole(text):
    """If this failed, a slow program's secrets would be stored letter by letter."""
    data = text.encode()

    assert b"".join(fed(REDACTOR.stream(), [bytes([byte]) for byte in data])) == REDACTOR.redact(data)


@settings(max_examples=100)
@given(TEXTS, CUTS)
def test_text_comes_out_as_the_whole(text, cuts):
    """If this failed, a character cut in two by what is held back would break the stream."""
    assert "".join(fed(REDACTOR.text_stream(), pieces(text, cuts))) == REDACTOR.redact(text)


@settings(max_examples=200)
@given(
    st.text(min_size=10, max_size=40).filter(
        lambda text: len(text.splitlines()) == 1 and text == text.strip() and not is_weak(text)
    ),
    st.text("ab \n", max_size=20),
    CUTS,
)
def test_no_part_of_a_secret_leaks(value, around, cuts):
    """If this failed, enough of a secret to use or guess it would be shown."""
    redactor = Redactor([Secret("s", value)], shapes=())
    data = f"{around}{value}{around}".encode("utf-8", "surrogatepass")
    rest = f"{around}[redacted:s]{around}"

    out = b"".join(fed(redactor.stream(), pieces(data, cuts))).decode("utf-8", "surrogatepass")

    for start in range(len(value) - 3):
        part = value[start : start + 4]
        assert part not in out or part in rest or part in f"{around}{value}{around}".replace(value, "", 1)


def test_what_is_held_back_is_bounded_and_little():
    """If this failed, live output would lag, or a flood without line ends would fill the memory."""
    stream = REDACTOR.stream()
    taken = given_out = 0
    for part in [b"x" * 10_000, b"eyJ" * 10_000, b"A" * 10_000, b"abc" * 5_000, b"hello\n"] * 3:
        taken += len(part)
        given_out += len(stream.feed(part))
        assert taken - given_out < 16_000 + 2_200
    quiet = REDACTOR.stream()
    assert len(quiet.feed(b"Now I shall edit the file and run the tests.\n")) > 0


def test_a_token_longer_than_any_buffer_is_swallowed():
    """If this failed, the end of a long token or key would be shown."""
    stream = REDACTOR.stream()
    parts = [b"see ", JWT.encode(), *[b"Zz9_" * 5_000] * 10, b' "end"']

    assert b"".join(fed(stream, parts)) == b'see [redacted:jwt] "end"'
