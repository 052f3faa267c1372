"""What is said in several texts is redacted as one, and every text stays where it was."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftwork.secrets import JoinedTexts, Redactor, Secret
from shiftwork.text import printable

KEY = "canary-7Q2wXz9LmN4rT8vB"
TOKEN = "ghp_" + "a1B2c3D4e5" * 4
REDACTOR = Redactor([Secret("key", KEY), Secret("other", "zwölf-Schlüssel/88")])
SHOWN = "[redacted:key]"
TEXTS = st.lists(
    st.one_of(
        st.sampled_from(
            [KEY, KEY[:9], KEY[9:], KEY[:4], TOKEN, TOKEN[:12], TOKEN[12:], "zwölf-", "Schlüssel/88"]
        ),
        st.text(max_size=6),
    ),
    max_size=12,
)


def given_out(texts, *, pause=0.0, stream=lambda _: "text", redactor=REDACTOR):
    """What comes out of texts with a pause after each; and what belongs to none of them."""
    joined = JoinedTexts(redactor)
    out, now = [], 0.0
    for number, text in enumerate(texts):
        joined.take(number, stream(number), text, now)
        now += pause
        out += joined.ready(now)
    out += joined.close()
    return out, dict(joined.rest())


@pytest.mark.parametrize("pause", [0.0, 0.1, 10.0])
@pytest.mark.parametrize(
    "secret", [KEY, TOKEN, base64.b64encode(f"x{KEY}".encode()).decode(), KEY.encode().hex()]
)
@pytest.mark.parametrize("size", [1, 7])
def test_a_secret_in_pieces_is_found(secret, size, pause):
    """If it failed, a key that an agent streams would be read off the rows of its transcript."""
    whole = f"it is {secret}, so."
    out, rest = given_out([whole[at : at + size] for at in range(0, len(whole), size)], pause=pause)

    together = "".join(text for _, text in out) + "".join(rest.values())
    assert [number for number, _ in out] == sorted(range(len(out)))
    assert "[redacted:" in together
    # Who waits long after each letter is given out three of them.
    assert all(secret[at : at + 8] not in together for at in range(len(secret) - 7))
    assert together.startswith("it is ")
    assert together.endswith(", so.")


@given(TEXTS, st.sampled_from([0.0, 0.3, 10.0]))
@settings(max_examples=150, deadline=None)
def test_nothing_is_lost_and_nothing_is_told(texts, pause):
    """If it failed, text would vanish from transcripts, stand twice in them, or show a key."""
    out, rest = given_out(texts, pause=pause)

    together = "".join(text for _, text in out) + "".join(rest.values())
    assert [number for number, _ in out] == list(range(len(texts)))
    assert KEY not in together
    assert TOKEN not in together
    if "[redacted:" not in together:
        assert together == "".join(map(printable, texts))


@pytest.mark.parametrize("hidden", ["\u200b", "\r", "\x08", "\ufeff"])
@pytest.mark.parametrize("size", [1, 5, 80])
def test_what_is_hidden_between_letters_joins_them(hidden, size):
    """If it failed, a key that is said with something invisible in it would be shown whole."""
    whole = f"it is {KEY[:9]}{hidden}{hidden}{KEY[9:]}, so."
    out, rest = given_out([whole[at : at + size] for at in range(0, len(whole), size)])

    assert "".join(text for _, text in out) + "".join(rest.values()) == f"it is {SHOWN}, so."


def test_each_stream_is_read_by_itself():
    """If it failed, a thought between two halves of a key would hide it."""
    pieces = [KEY[:8], "I think", KEY[8:], " so"]
    out, rest = given_out(pieces, stream=lambda number: "text" if number % 2 == 0 else "thinking")

    assert out == [(0, SHOWN), (1, "I think"), (2, ""), (3, " so")]
    assert rest == {}


def test_a_token_at_the_beginning_of_a_text_is_found():
    """If it failed, a word at the end of one text would hide the token with which the next one begins."""
    out, _ = given_out(["the word", TOKEN + " is it"])
    assert out == [(0, "the word"), (1, "[redacted:github-token] is it")]


def test_a_text_does_not_wait_for_ever():
    """If it failed, a person who watches would see nothing while an agent thinks, or memory would fill up."""
    joined = JoinedTexts(REDACTOR)
    joined.take(1, "text", f"hello {KEY[:6]}", 100.0)
    assert list(joined.ready(100.2)) == []
    assert list(joined.ready(101.0)) == [(1, "hello ")]
    joined.take(2, "text", "!", 102.0)
    assert [*joined.close(), *joined.rest()] == [(2, f"{KEY[:6]}!")]

    for number in range(3000):
        joined = joined if number else JoinedTexts(REDACTOR)
        joined.take(number, "text", KEY[:6], 0.0)
        joined.take(-number, f"{number}", "x" * 2000, 0.0)
    assert len(list(joined.ready(0.0))) > 4000


def test_what_may_have_begun_comes_at_the_end():
    """If it failed, the last word of an agent would be lost if a key begins with it."""
    joined = JoinedTexts(REDACTOR)
    joined.take(1, "text", f"hello {KEY[:6]}", 100.0)
    assert list(joined.ready(101.0)) == [(1, "hello ")]
    assert list(joined.close()) == []
    assert list(joined.rest()) == [("text", KEY[:6])]
