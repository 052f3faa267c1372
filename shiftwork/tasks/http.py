"""How processors and the webhook ask other servers."""

import asyncio
from collections.abc import Mapping
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import aiohttp


class HttpClient:
    """Asks one server, as an async context.

    It keeps no cookies, and takes no proxy from the environment: that would be one more who reads a token.

    Args:
        headers: of each request, beside who asks.
        seconds: that one request may take.
    """

    def __init__(self, headers: Mapping[str, str], seconds: float) -> None:
        self._headers = {"user-agent": "shiftwork", **headers}
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # It takes long to load, and few workers need it: the first that does loads it, while others go on.
        await asyncio.to_thread(import_module, "aiohttp")
        import aiohttp  # noqa: PLC0415 - as said

        self._session = aiohttp.ClientSession(
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._seconds),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def http(self) -> "aiohttp.ClientSession":
        """To ask by; of one that was entered."""
        assert self._session is not None, "entered"
        return self._session
