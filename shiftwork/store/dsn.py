"""One database address, in whichever form a person wrote it."""

from urllib.parse import parse_qs

from shiftwork.errors import InvalidInput

_SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg")


def asyncpg_dsn(url: str) -> str:
    """The DSN as asyncpg reads it; raises `InvalidInput` for anything that is not a PostgreSQL one."""
    scheme, separator, rest = url.strip().partition("://")
    if not separator or scheme.lower() not in _SCHEMES:
        raise InvalidInput(
            f"The database address {without_password(url)!r} is not one of PostgreSQL; "
            "write it as postgresql://user@host:port/database."
        )
    return f"postgresql://{rest}"


def without_password(url: str) -> str:
    """The address as it may be shown and logged."""
    scheme, separator, rest = url.strip().partition("://")
    authority, at, path = rest.rpartition("@")
    user = authority.partition(":")[0]
    shown = f"{scheme}{separator}{user}{at}{path}" if at else f"{scheme}{separator}{rest}"
    return shown.partition("?")[0]


def place(url: str) -> str:
    """Where the database is, as it may be shown: host (or socket), port and name, no credentials."""
    address, _, options = asyncpg_dsn(url).partition("://")[2].partition("?")
    shown = address.rpartition("@")[2]
    host = parse_qs(options).get("host", [""])[0]
    return f"{host}{shown}" if shown.startswith("/") else shown
