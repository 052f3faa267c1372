"""One database address, in whichever form a person wrote it."""

import re
from urllib.parse import parse_qs

from shiftwork.errors import InvalidInput

FORM = "postgresql://user@host:port/database"
"""How an address is written; told with every mistake."""

_SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")


def asyncpg_dsn(url: str) -> str:
    """The DSN as asyncpg reads it; raises `InvalidInput` for anything that is not a PostgreSQL one."""
    scheme, separator, rest = url.strip().partition("://")
    if not separator or scheme.lower() not in _SCHEMES:
        raise InvalidInput(f"The database address{shown(url)} is not one of PostgreSQL; write it as {FORM}.")
    return f"postgresql://{rest}"


def shown(url: str) -> str:
    """The address as a sentence may show it, quoted, after a space; empty if it could hold a password.

    What people write where an address belongs may be of any form, so only what has that of a URL is shown,
    and of that neither a password, nor options, nor a port that is no number.
    """
    scheme, separator, rest = url.strip().partition("://")
    parts = _parts(rest)
    if not separator or not _SCHEME.fullmatch(scheme) or parts is None:
        return ""
    user, address, _ = parts
    return f" {f'{scheme}://{user}@{address}' if user else f'{scheme}://{address}'!r}"


def place(url: str) -> str:
    """Where the database is, as it may be shown: host (or socket), port and name, no credentials."""
    parts = _parts(asyncpg_dsn(url).partition("://")[2])
    if parts is None:
        return "the given address"
    _, address, options = parts
    host = parse_qs(options).get("host", [""])[0]
    return f"{host}{address}" if address.startswith("/") else address


def _parts(rest: str) -> tuple[str, str, str] | None:
    """User, host and path, and options; None where it can't be told what is a password.

    A password may hold any character that should have been written as `%XX`, so the last `@` ends it.
    """
    credentials, _, tail = rest.rpartition("@")
    if "?" in credentials:  # of the password, or is the `@` one of an option?
        return None
    address, _, options = tail.partition("?")
    host, slash, path = address.partition("/")
    name, colon, port = host.rpartition(":")
    if colon and not port.isdecimal() and not port.endswith("]"):  # a password whose `@` was forgotten?
        host = name
    return credentials.partition(":")[0], f"{host}{slash}{path}", options
