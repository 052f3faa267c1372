"""How processors and the webhook ask other servers."""

import asyncio
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp


async def http_session(headers: Mapping[str, str], seconds: float) -> "aiohttp.ClientSession":
    """A session for one server, to be closed.

    It keeps no cookies, and takes no proxy from the environment: that would be one more who reads a token.

    Args:
        headers: of each request, beside who asks.
        seconds: that one request may take.
    """
    # It takes long to load, and few workers need it: the first to do so loads it, beside what else goes on.
    await asyncio.to_thread(import_module, "aiohttp")
    import aiohttp  # noqa: PLC0415 - as said

    return aiohttp.ClientSession(
        headers={"user-agent": "shiftwork", **headers},
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=seconds),
        trust_env=False,
    )
