"""Known values are taken out of text, bytes and nested values, in every usual form."""

import base64
import html
import json
import random
import re
import string
import unicodedata
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftwork.secrets import Redactor, Secret
from shiftwork.secrets.forms import is_weak
from shiftwork.text import printable, truncate
from tests.unit.pace_support import paces

VALUE = 'q7/Xw+9=z"Å\\t5<k>&Lm0'
REDACTOR = Redactor([Secret("env:API_KEY", VALUE)])
SHOWN = "[redacted:env:API_KEY]"


def as_text(encoded: bytes) -> str:
    return encoded.decode()


@pytest.mark.parametrize(
    "form",
    [
        VALUE,
        json.dumps(VALUE)[1:-1],
        json.dumps(VALUE, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps({"key": VALUE})),
        quote(VALUE),
        quote(VALUE, safe=""),
        quote_plus(VALUE),
        quote(VALUE, safe="").lower().replace(quote(VALUE, safe="").lower(), quote_plus(VALUE)),
        VALUE.encode().hex(),
        VALUE.encode().hex().upper(),
        html.escape(VALUE),
        repr(VALUE),
        as_text(base64.b64encode(VALUE.encode())),
        as_text(base64.urlsafe_b64encode(VALUE.encode())),
        as_text(base64.b64encode(b"x" + VALUE.encode())),
        as_text(base64.b64encode(b"xy" + VALUE.encode() + b"z")),
        as_text(base64.encodebytes(b"A=1\n" * 12 + b"API_KEY=" + VALUE.encode() + b"\nB=2\n" * 12)),
    ],
)
def test_every_usual_form_of_a_value_is_replaced(form):
    """If this failed, an agent would only have to encode a secret to have it stored."""
    done = REDACTOR.redact(f"before {form} after")

    assert SHOWN in done
    assert done.startswith("before ")
    assert done.endswith(" after")
    assert "Xw" not in done


QUOTED = "q7/Xw+9'z\"(Å)ö!<k>&Lm0*"


@pytest.mark.parametrize(
    "form",
    [
        quote(QUOTED, safe="!'()*"),  # encodeURIComponent
        html.escape(QUOTED).replace("&#x27;", "&#39;"),
        html.escape(QUOTED).replace("&#x27;", "&apos;"),
        html.escape(QUOTED).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
        html.escape(QUOTED).replace("&#x27;", "&#39;").replace("&quot;", "&#34;").replace("+", "&#43;"),
        json.dumps(QUOTED)[1:-1].replace("\\u00c5", "\\u00C5").replace("\\u00f6", "\\u00F6"),
        r"q7/Xw\u002B9\u0027z\u0022(\u00C5)\u00F6!\u003Ck\u003E\u0026Lm0*",  # .NET
        r"q7/Xw+9\u0027z\"(Å)ö!\u003ck\u003e\u0026Lm0*",  # Gson
        repr(QUOTED.encode()),
        repr({"key": QUOTED.encode()}),
        repr(QUOTED),
    ],
)
def test_other_programs_quote_otherwise(form):
    """If this failed, a page, or a program that is not Python, would show a secret with an escape in it."""
    done = Redactor([Secret("env:API_KEY", QUOTED)], shapes=()).redact(f"before {form} after")

    assert SHOWN in done
    assert "Xw" not in done


def escaped(character: str) -> str:
    """The character as JSON may write any."""
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


SPELT = "q7/Xw+9=z\"Å\\t5<k>'&Lm0😀-"


@pytest.mark.parametrize(
    "form",
    [
        "".join(map(escaped, SPELT)),
        "".join(map(escaped, SPELT)).upper().replace("\\U", "\\u"),
        json.dumps(SPELT).replace("/", "\\/").replace("<", "\\u003C").replace("'", "\\u0027"),
        json.dumps(SPELT, ensure_ascii=False).replace("/", "\\u002f").replace("-", "\\u002D"),
        json.dumps(SPELT).replace("\\\\", "\\u005c").replace('\\"', "\\u0022"),
        json.dumps({"out": json.dumps({"key": SPELT}).replace("/", "\\/")}),
        json.dumps({"out": "".join(map(escaped, SPELT))}),
        escaped(SPELT[0]) + SPELT[1:],
    ],
)
def test_json_may_escape_any_character(form):
    """If this failed, a step that prints a key as another program's JSON has it would have it stored."""
    redactor = Redactor([Secret("env:OTHER", f"{VALUE}2"), Secret("env:API_KEY", SPELT)], shapes=())

    done = redactor.redact(f"before {form} after")

    assert SHOWN in done
    assert "Lm0" not in done
    assert escaped("m") not in done.lower()

    stream = redactor.text_stream()
    assert "".join(map(stream.feed, f"before {form} after")) + stream.close() == done


def test_what_begins_a_value_with_escapes_is_told():
    """If this failed, an excerpt could end in most of a key of which one character is escaped."""
    beginnings = Redactor([Secret("env:API_KEY", SPELT)], shapes=()).beginnings
    text = "".join(map(escaped, SPELT[:9]))

    for end in range(len(text) - 14, len(text) + 1):
        assert beginnings.begun(f"so {text[:end]}".encode()) == 3
    assert beginnings.begun(b"so q7\\/X") == 3
    assert beginnings.begun(b"so it \\u002f ends") == 17


@given(before=st.binary(max_size=7), after=st.binary(max_size=7), urlsafe=st.booleans())
def test_base64_is_found_wherever_the_value_begins_in_it(before, after, urlsafe):
    """If this failed, the base64 of a whole file with a secret in it would pass at two of three places."""
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode

    done = REDACTOR.redact(encode(before + VALUE.encode() + after))

    assert SHOWN.encode() in done
    # What is left of the value's own 29 characters are the two at the ends that its neighbours share.
    assert len(done) <= len(SHOWN) + 4 * (len(before) + len(after) + 8) // 3 + 4


def test_text_without_secrets_is_the_same_object():
    """If this failed, each line of output would be copied for nothing."""
    text = "nothing to see, ünïcode included \udc80"

    assert REDACTOR.redact(text) is text
    assert REDACTOR.redact(data := text.encode("utf-8", "surrogatepass")) is data


def test_broken_text_stays_as_it_is_around_a_secret():
    """If this failed, output that is not quite Unicode would end a session."""
    assert REDACTOR.redact(f"\udc80{VALUE}\ud800é") == f"\udc80{SHOWN}\ud800é"
    assert REDACTOR.redact(b"\xff" + VALUE.encode() + b"\xc3") == b"\xff" + SHOWN.encode() + b"\xc3"


def test_a_secret_of_several_lines_is_found_line_by_line():
    """If this failed, a key printed with line numbers or indentation would be stored."""
    key = "-----BEGIN SOME KEY-----\nline-one-abcdef\nline-two-ghijkl\n-----END SOME KEY-----"
    redactor = Redactor([Secret("file:/key", key)], shapes=())

    done = redactor.redact("1: line-one-abcdef\n2:   line-two-ghijkl -----END SOME KEY-----")

    assert done == "1: [redacted:file:/key]\n2:   [redacted:file:/key] -----END SOME KEY-----"
    assert "one" not in redactor.redact(json.dumps(key))


def test_of_a_file_of_credentials_only_what_is_secret_is_looked_for():
    """If this failed, words like `service_account` would vanish from every text, and from no commit."""
    value = json.dumps(
        {"type": "service_account", "private_key": "abc-def-ghi\njkl-mno-pqr", "n": 1}, indent=1
    )
    redactor = Redactor([Secret("file:/google", value)], shapes=())

    done = redactor.redact(f'"type": "service_account" {value}')

    assert done.startswith('"type": "service_account" {')
    assert "abc-def" not in done
    assert "mno-pqr" not in done


def test_a_very_long_value_is_found_in_pieces():
    """If this failed, a stream would have to hold back as much as the longest secret."""
    value = "".join(random.Random(1).choices(string.ascii_letters, k=3_000))
    redactor = Redactor([Secret("long", value)], shapes=())

    assert redactor.redact(f"<{value}>").replace("[redacted:long]", "") == "<>"
    assert value[1000:1300] not in redactor.redact(value[900:1500])


@pytest.mark.parametrize(
    "value",
    ["1234", "short-9!x", "12345678", "2026-11-21", "development", "Production", "********************"],
)
def test_weak_values_are_left_and_named(value):
    """If this failed, a secret that is a word or a small number would destroy every transcript."""
    redactor = Redactor([Secret("env:PIN", value), Secret("env:KEY", "abcdefghi1")])

    assert redactor.unprotected == ("env:PIN",)
    assert redactor.redact(f"{value} abcdefghi1") == f"{value} [redacted:env:KEY]"


def test_what_is_ordinary_is_left_and_named():
    """If this failed, a password that is the database's name would take the name out of every path."""
    redactor = Redactor([Secret("env:PW", "Acme-Shop-2")], ordinary=["acme-shop-2"])

    assert redactor.unprotected == ("env:PW",)
    assert redactor.extended([Secret("b", "x-y-z-0-1-2")]).redact("Acme-Shop-2") == "Acme-Shop-2"


@pytest.mark.parametrize("encode", [str.encode, base64.b64encode, base64.encodebytes, bytes.hex])
def test_a_large_secret_is_found_in_every_encoding(encode):
    """If this failed, a service's key file would end the worker at its start, or be stored encoded."""
    value = base64.b64encode(random.Random(1).randbytes(48_000)).decode()
    key = "-----BEGIN RSA PRIVATE KEY-----\n" + base64.encodebytes(random.Random(2).randbytes(2_400)).decode()
    redactor = Redactor([Secret("large", value), Secret("key", key)])

    for secret in (value, key):
        data = secret if encode is str.encode else secret.encode()
        written = encode(data)
        done = redactor.redact(written.encode() if isinstance(written, str) else written)
        left = re.sub(rb"\[redacted:[a-z-]+\]|-----BEGIN RSA PRIVATE KEY-----", b"", done)
        assert len(left) < 100


def test_nested_values_are_redacted_with_their_keys():
    """If this failed, a secret as a key would reach the database, or a count of tokens would be taken out."""
    redactor = Redactor([Secret("env:KEY", VALUE), Secret("env:PIN", "1234567812345678")])
    value = {
        "a": [1, True, None, {VALUE: VALUE.encode()}],
        "n": 1234567812345678,
        "t": ("x", VALUE),
        f"{VALUE}!": 2.5,
    }

    done = redactor.redact_json(value)

    assert done == {
        "a": [1, True, None, {"[redacted:env:KEY]": b"[redacted:env:KEY]"}],
        "n": 1234567812345678,
        "t": ["x", "[redacted:env:KEY]"],
        "[redacted:env:KEY]!": 2.5,
    }


def test_credentials_are_known_by_the_key_they_stand_under():
    """If this failed, the headers of a recorded request would be stored."""
    value = {"Authorization": "Basic dXNlcjpwYXNzd29yZA==", "X-Api-Key": "0123456789abcdef", "a": "Basic x"}

    done = REDACTOR.redact_json([value])

    assert done == [
        {"Authorization": "Basic [redacted:basic-credentials]", "X-Api-Key": "[redacted:api-key-header]"}
        | {"a": "Basic x"}
    ]


def test_what_is_exact_is_altered_only_for_a_certain_secret():
    """If this failed, a verification step would be another one than was written."""
    command = ["curl http://user:password@localhost/", "ghp_" + "x" * 36]

    assert REDACTOR.redact_exact(command) is command
    assert REDACTOR.redact_json(command) != command
    assert REDACTOR.redact_exact([VALUE]) == [SHOWN]
    assert REDACTOR.secret_in({"a": [VALUE]}) == "env:API_KEY"
    assert REDACTOR.secret_in({"ghp_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8": 1}) == "github-token"
    assert REDACTOR.secret_in(command) is None


def test_keys_that_become_the_same_stay_apart():
    """If this failed, redaction would lose entries."""
    assert REDACTOR.redact_json({VALUE: 1, VALUE.encode().hex(): 2}) == {SHOWN: 1, f"{SHOWN}'": 2}


def test_deep_nesting_ends():
    """If this failed, a hostile event would exhaust the stack."""
    value: list[object] = []
    for _ in range(5_000):
        value = [value]

    assert "too deeply" in json.dumps(REDACTOR.redact_json(value))


def test_names_can_not_break_the_text_around():
    """If this failed, a name from settings could forge lines of a log."""
    assert Redactor([Secret("a]\n[x", VALUE)]).redact(VALUE) == "[redacted:a???x]"


def test_a_redactor_can_learn_more():
    """If this failed, a token made while the worker runs could not be protected."""
    more = REDACTOR.extended([Secret("token", "tok-abcdefgh")])

    assert more.redact(f"{VALUE} tok-abcdefgh") == f"{SHOWN} [redacted:token]"
    assert VALUE not in repr(more)
    assert more.known_in(b"x=tok-abcdefgh") == "token"
    assert more.known_in(b"x=tok-abcdefg") is None


@settings(max_examples=50)
@given(st.text(min_size=8, max_size=60), st.text(max_size=30), st.text(max_size=30))
def test_any_value_is_found_in_any_text(value, before, after):
    """If this failed, some characters in a secret would keep it from being found."""
    lines = [line.strip() for line in value.splitlines() if not is_weak(line.strip())]
    redactor = Redactor([Secret("s", value)], shapes=())

    done = redactor.redact(f"{before}{value}{after}")

    for line in lines:
        if len(value.splitlines()) == 1 or not line.startswith("-----"):
            assert line not in done or line in f"{before}[redacted:s]{after}"


SECRETS = [
    Secret(f"env:KEY_{n}", "".join(random.Random(n).choices(string.ascii_letters + string.digits, k=40)))
    for n in range(10)
]


@pytest.mark.parametrize(
    "line",
    [
        b"a" * 1_000_000,
        b"eyJ" * 333_333,
        b"eyJhbGciOiJIUzI1NiJ9." * 47_000,
        b"://a:" * 200_000,
        b"-----BEGIN RSA PRIVATE KEY-----" * 32_000,
        b"-----BEGIN PRIVATE KEY-----\n" + b"A" * 1_000_000,
        b"Authorization: Bearer" * 47_000,
        b"\\n" * 500_000,
        b"0123456789abcdef" * 62_500,
        b"sk-" * 333_333,
        SECRETS[0].reveal().encode()[:-1] * 25_000,
        b"".join(random.Random(5).choices([b"ghp_", b"xoxb-", b"1", b"-", b"/", b"a", b"AKIA"], k=300_000)),
    ],
    ids=range(12),
)
def test_no_line_takes_long(line):
    """If this failed, an agent could stop the worker with one line."""
    redactor = Redactor(SECRETS)
    assert paces(lambda: redactor.redact(line)) < 200


def test_redaction_does_not_slow_transcripts():
    """If this failed, redacting would cost more than reading the output does."""
    redactor = Redactor(SECRETS)
    lines = [
        b'{"type":"assistant","message":{"content":[{"type":"text","text":"Editing src/app/%d.py, see '
        b'https://example.org/docs"}]}}' % n
        for n in range(40_000)
    ]
    redactor.redact(lines[0])
    read = paces(lambda: [json.loads(line) for line in lines])
    assert paces(lambda: [redactor.redact(line) for line in lines]) < 8 * read


WORDS = "tök/en+with $(1)!*'&<\"Łx😀 0123=="


def mixed(text: str) -> str:
    """Each character in another way."""
    ways = (
        lambda one: quote(one, safe=""),
        lambda one: one,
        lambda one: f"&#{ord(one)};",
        lambda one: f"&#x{ord(one):X};",
        lambda one: quote(quote(one, safe=""), safe="").lower(),
        lambda one: json.dumps(one)[1:-1],
    )
    return "".join(ways[number % len(ways)](one) for number, one in enumerate(text))


@pytest.mark.parametrize(
    "form",
    [
        quote(WORDS, safe=";,/?:@&=+$-_.!~*'()#"),
        quote(WORDS, safe="!$&'()*+,;=-._~").lower(),
        quote_plus(WORDS, safe="*'"),
        quote(quote(WORDS)),
        ascii(WORDS)[1:-1],
        WORDS.encode("ascii", "backslashreplace").decode(),
        WORDS.encode("unicode_escape").decode(),
        html.escape(WORDS).encode("ascii", "xmlcharrefreplace").decode(),
        "".join(f"&#{ord(one)};" for one in WORDS),
        "".join(f"&#x{ord(one):x};" for one in WORDS),
        "".join(f"%{byte:02x}" for byte in WORDS.encode()),
        mixed(WORDS),
    ],
)
def test_any_character_may_be_escaped(form):
    """If this failed, a key would be kept as a program writes it into an address, a page or a message."""
    redactor = Redactor([Secret("s", WORDS)])
    assert redactor.redact(f"a={form}.") == "a=[redacted:s]."
    for size in (1, 5):
        stream = redactor.text_stream()
        text = f"a={form}."
        pieces = [stream.feed(text[at : at + size]) for at in range(0, len(text), size)]
        assert "".join([*pieces, stream.close()]) == "a=[redacted:s]."


def test_what_begins_a_value_in_an_address_or_page_is_told():
    """If this failed, a key that is said slowly, as pages write it, would be told letter by letter."""
    redactor = Redactor([Secret("s", WORDS)])
    for form in (quote(WORDS), html.escape(WORDS).encode("ascii", "xmlcharrefreplace").decode()):
        for end in range(16, len(form)):
            assert redactor.beginnings.begun(f"a={form[:end]}".encode()) == 2, form[:end]
    assert redactor.beginnings.begun(b"100% & more &#9999999;") == 22


HIDDEN = ["\u200b", "\u00ad", "\ufeff", "\x00", "\x08", "\r", "\x7f", "\u2060", "\U000e0041", "\u3164"]


@pytest.mark.parametrize("hidden", HIDDEN)
def test_what_is_shown_puts_no_secret_together(hidden):
    """If this failed, a key with something invisible in it would be kept, and shown whole."""
    split = f"the key {VALUE[:6]}{hidden}{VALUE[6:]} of é"

    assert REDACTOR.redact(split) == f"the key {SHOWN} of é"
    assert REDACTOR.redact_json({split: [split]}) == {f"the key {SHOWN} of é": [f"the key {SHOWN} of é"]}
    assert REDACTOR.secret_in(split) == "env:API_KEY"
    assert REDACTOR.redact_exact([split]) == [f"the key {SHOWN} of é"]
    assert REDACTOR.redact(f"a{hidden}b \x1b[31mred\x1b[0m") == f"a{hidden}b \x1b[31mred\x1b[0m"


@pytest.mark.parametrize(
    "sequence", ["\x1b[01;31m\x1b[K", "\x1b[0m", "\x1b]8;;http://x\x1b\\", "\x1b]0;t\x07"]
)
def test_a_secret_that_is_coloured_in_part_is_found(sequence):
    """If this failed, `grep --color` would show a key, and it would be kept."""
    split = f"the key {VALUE[:6]}{sequence}{VALUE[6:]}"

    assert REDACTOR.redact(split) == f"the key {SHOWN}"
    assert REDACTOR.secret_in([split]) == "env:API_KEY"


@pytest.mark.parametrize("style", ["\ufe0e", "\ufe0f"])
def test_a_selector_after_a_digit_hides_no_secret(style):
    """If this failed, a key with an invisible character after a digit would be kept, and shown whole."""
    value = "k9canary-0123-value"
    split = f"{value[:2]}{style}{value[2:]}"

    assert Redactor([Secret("s", value)]).redact(split) == "[redacted:s]"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("known", ["NFC", "NFD"])
def test_a_secret_is_found_however_its_letters_are_composed(form, known):
    """If this failed, a key with an accent would be kept in the form in which it is not known."""
    value = "pässwörd-0123-Ünï"
    redactor = Redactor([Secret("s", unicodedata.normalize(known, value))])

    assert redactor.redact(f"a {unicodedata.normalize(form, value)} b") == "a [redacted:s] b"


def test_what_may_begin_a_secret_goes_though_it_is_hidden():
    """If this failed, a cut would leave half a key that is shown whole."""
    cut = truncate(f"{'x' * 40} {VALUE[:5]}\u200b{VALUE[5:14]}" + VALUE * 9, 80)

    assert VALUE[:8] not in printable(REDACTOR.redact_excerpts({"a": cut})["a"])
