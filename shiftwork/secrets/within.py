"""Passwords within values that hold more: addresses, names of databases, headers."""

import binascii
import re
from base64 import b64decode
from collections.abc import Iterator
from urllib.parse import SplitResult, unquote, urlsplit

_KEYWORD = re.compile(
    r"(?:^|[\s;])(?:password|passwd|pwd|(?:account|shared ?access)key|sharedaccesssignature)\s*=\s*"
    r"(?P<value>'(?:[^'\\]|\\.|'')*'|\"(?:[^\"]|\"\")*\"|\{(?:[^}]|\}\})*\}|[^;]*)",
    re.IGNORECASE,
)
_QUOTES = {"'": "'", '"': '"', "{": "}"}
_IN_QUERY = re.compile(r"(?:^|&)(?:password|passwd|pwd)=([^&]+)", re.IGNORECASE)
_BEFORE_AT = re.compile(r"[^:@/\s]+:([^@\s]+)@")
_ORACLE = re.compile(r"jdbc:oracle:\w+:[^/@\s]*/(\"[^\"]+\"|[^@\s]+)@", re.IGNORECASE)
_SCHEME = re.compile(r"(?:bearer|basic|token|digest|apikey)\s+(?=\S)", re.IGNORECASE)
_PAIR = re.compile(r"[^\s:/=]+:(\S+)")


def in_address(parts: SplitResult) -> Iterator[str]:
    """The passwords of `postgresql://user:password@host/`, as they are and as they stand there."""
    raw = [*_IN_QUERY.findall(parts.query), *([parts.password] if parts.password else [])]
    # `+` is itself in a query of libpq, and a space in one of the web.
    forms = {form for each in raw for form in (each, unquote(each), unquote(each.replace("+", " ")))}
    yield from sorted(form for form in forms if form)


def in_dsn(value: str) -> Iterator[str]:
    """The passwords in what names a database's or a service's place, in one of the usual forms."""
    for found in _KEYWORD.finditer(value):
        yield from _unquoted(found["value"], has_semicolons=";" in value)
    yield from (found.strip('"') for found in _ORACLE.findall(value))
    parts = split(value)
    if parts is None:
        yield from _BEFORE_AT.findall(value)
    elif parts.scheme.startswith("http") and parts.username and not parts.password:
        yield unquote(parts.username)  # as error trackers give it


def in_header(value: str) -> Iterator[str]:
    """What is secret in an Authorization header, a `user:password` or a Cookie, and the value itself."""
    bare = _SCHEME.sub("", value, count=1) if _SCHEME.match(value) else value
    yield bare
    for pair in (bare, _decoded(bare)):
        if found := _PAIR.fullmatch(pair):
            yield found[1]
    for part in bare.split(";"):
        name, _, content = part.strip().partition("=")
        if name.isidentifier() and content.strip("="):
            yield content


def split(text: str) -> SplitResult | None:
    """The parts of an address; None of what is none, or can hold no password."""
    if "://" not in text or ("@" not in text and "?" not in text):
        return None
    try:
        return urlsplit(text.removeprefix("jdbc:"))
    except ValueError:
        return None


def _unquoted(value: str, *, has_semicolons: bool) -> Iterator[str]:
    """A keyword's value: libpq escapes by backslashes, ODBC and .NET double the closing mark."""
    end = _QUOTES.get(value[:1])
    if end is None or len(value) < 2 or value[-1] != end:
        words = value.split()
        # The padding of base64 is no part of what is secret in it.
        yield from [value.strip().rstrip("=")] if has_semicolons else words[:1]
        return
    inner = value[1:-1].replace(2 * end, end)
    yield inner
    if end == "'" and "\\" in inner:
        yield re.sub(r"\\(.)", r"\1", inner)


def _decoded(text: str) -> str:
    try:
        return b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
