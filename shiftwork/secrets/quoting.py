"""How other texts write a text that they hold: URLs, JSON, HTML, Python."""

import html
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

_UNICODE = re.compile(r"\\u[0-9a-f]{4}")
_ENTITIES = (("&quot;", "&#x27;"), ("&quot;", "&#39;"), ("&quot;", "&apos;"), ("&#34;", "&#39;"))
"""How pages write the two quotation marks: Python and React, PHP and lodash, XML, Go and Jinja."""

_ALSO_ESCAPED = ("", "<>&", "<>&='", "<>&'+`")
"""What JSON escapes besides: nothing, what may not stand in a page, as Gson does, as .NET does."""


def quotings(text: str) -> Iterator[str]:
    """Every usual way; some are the text itself."""
    yield from _in_url(text)
    yield from _in_json(text)
    yield from _in_html(text)
    yield from _in_python(text)


def _in_url(text: str) -> Iterator[str]:
    # The last is what browsers' encodeURIComponent leaves as it is.
    for quoted in (quote(text), quote(text, safe=""), quote_plus(text), quote(text, safe="!'()*")):
        yield quoted
        yield _lower_escapes(quoted)


def _lower_escapes(quoted: str) -> str:
    first, *rest = quoted.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


def _in_json(text: str) -> Iterator[str]:
    for ascii_only in (True, False):
        once = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        yield once
        yield once.replace("/", "\\/")
        yield json.dumps(once, ensure_ascii=ascii_only)[1:-1]
        for marks in _ALSO_ESCAPED:
            escaped = "".join(f"\\u{ord(mark):04x}" if mark in marks else mark for mark in once)
            for unquoted in (escaped, escaped.replace('\\"', "\\u0022")):
                yield unquoted
                yield _UNICODE.sub(_upper_digits, unquoted)


def _upper_digits(escape: re.Match[str]) -> str:
    return f"\\u{escape[0][2:].upper()}"


def _in_html(text: str) -> Iterator[str]:
    plain = html.escape(text, quote=False)
    yield plain
    for double, single in _ENTITIES:
        escaped = plain.replace('"', double).replace("'", single)
        yield escaped
        yield escaped.replace("+", "&#43;")


def _in_python(text: str) -> Iterator[str]:
    for shown in (repr(text)[1:-1], repr(text.encode())[2:-1]):
        bare = shown.replace("\\'", "'")
        yield bare
        yield bare.replace("'", "\\'")
