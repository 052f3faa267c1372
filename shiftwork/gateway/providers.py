"""The connections of one gateway to models' providers, with the library that keeps them.

Loading it takes long, and few workers ask a provider soon: so it waits for the first session that may.
"""

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp

_KEPT_ALIVE = 60.0
_NAMES_CACHED = 60


class Providers:
    """The connections of one gateway to models' providers, opened by the first question."""

    def __init__(self) -> None:
        self._http: aiohttp.ClientSession | None = None

    @staticmethod
    async def load() -> None:
        """Load what asks a provider, beside whatever else goes on; at once when repeated."""
        await asyncio.to_thread(import_module, "shiftwork.gateway.modelcall")

    @property
    def http(self) -> "aiohttp.ClientSession":
        """What all sessions ask through."""
        if self._http is None:
            self._http = _session()
        return self._http

    async def close(self) -> None:
        """End every connection."""
        http, self._http = self._http, None
        if http is not None:
            await http.close()


def _session() -> "aiohttp.ClientSession":
    import aiohttp  # noqa: PLC0415 - see above

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0,  # A session's own connections are bounded.
            keepalive_timeout=_KEPT_ALIVE,
            ttl_dns_cache=_NAMES_CACHED,
            resolver=aiohttp.ThreadedResolver(),
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("user-agent", "accept", "content-type"),
        trust_env=False,  # A proxy of the worker's environment would be one more who reads the key.
    )
