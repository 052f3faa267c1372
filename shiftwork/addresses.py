"""Addresses of other servers that settings name."""

from typing import Final
from urllib.parse import urlsplit

from shiftwork.errors import InvalidInput

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
"""Hosts that are this machine, with which nobody else hears what is said by http."""


def webhook_place(url: str) -> str:
    """The host of `SHIFTWORK_TASK_WEBHOOK`, as it may be shown: `https`, or `http` on this machine.

    Raises:
        InvalidInput: the address is none, or others could read what is told.
    """
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("https", "http") and parts.port != 0  # which is a number, then
    except ValueError:
        known = False
    if not known or not parts.hostname:
        raise InvalidInput("SHIFTWORK_TASK_WEBHOOK is no address; write it as https://HOST/PATH.")
    place = parts.netloc.rpartition("@")[2]
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise InvalidInput(
            f"SHIFTWORK_TASK_WEBHOOK names {place!r} by http, where others could read what is told; use "
            "https."
        )
    return place
