"""What sentences show of a database's address: where it is, and nothing that could be a password."""

import traceback

import pytest

from shiftwork.errors import ShiftworkError
from shiftwork.store.connect import connect
from shiftwork.store.dsn import asyncpg_dsn, place, shown

SECRET = "CANARY"


@pytest.mark.parametrize(
    "url",
    [
        "host=db user=u password=CANARYpw",
        "host=db password=CANARYpw options=postgresql://u@h/db",
        "postgresql:u:CANARYpw@h/db",
        "postgresql:/u:CANARYpw@h/db",
        "u:CANARYpw@h/db",
        "mysql://u:CANARYpw@h/db",
        "mysql://u:CANARY?pw@h/db",
        "postgresql://u:CANARY/pw@127.0.0.1/db",
        "postgresql://u:CANARY?pw@127.0.0.1/db",
        "postgresql://u:1?CANARY@127.0.0.1:1/db",
        "postgresql://u:CANARY#pw@127.0.0.1:1/db",
        "postgresql://u:CANARY@pw@127.0.0.1:1/db",
        "postgresql://u:CANARYpw",
        "postgresql://u:CANARYpw/db",
        "postgresql://u:pw@127.0.0.1:CANARY/db",
        "postgresql://u@127.0.0.1:1/db?password=CANARY",
        "postgresql://u@127.0.0.1:1/db?password=x@CANARY",
        "postgresql://u@127.0.0.1:1/db?sslmode=CANARY",
        "postgresql://u:[CANARY]@127.0.0.1:1/db",
    ],
)
async def test_no_sentence_and_no_traceback_shows_a_password(url):
    """A mistake in an address would leave its password on the screen, and in the worker's log."""
    with pytest.raises(ShiftworkError) as caught:
        await connect(url)
    told = "".join(traceback.format_exception(caught.value))
    assert SECRET not in told
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mysql://u:pw@h:1/db", " 'mysql://u@h:1/db'"),
        ("mysql://h/db?password=x", " 'mysql://h/db'"),
        ("mysql://u@h:pw/db", " 'mysql://u@h/db'"),
        ("nonsense", ""),
        ("", ""),
    ],
)
def test_the_rest_is_shown(url, expected):
    """Nobody could tell which of several addresses is wrong."""
    assert shown(url) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:pw@h:5432/db", "h:5432/db"),
        ("postgres://h/db", "h/db"),
        ("postgresql://u:p%40w@[::1]:5432/db", "[::1]:5432/db"),
        ("postgresql://u@[::1]/db", "[::1]/db"),
        ("postgresql://u@a:1,b:2/db", "a:1,b:2/db"),
        ("postgresql://u:pw@/db?host=%2Ftmp%2Fa%40b&port=5432", "/tmp/a@b/db"),
        ("postgresql://u@h/db?options=x@y", "the given address"),
    ],
)
def test_where_the_database_is(url, expected):
    """ "It can't be reached" would not say what."""
    assert place(url) == expected
    assert asyncpg_dsn(url).startswith("postgresql://")
