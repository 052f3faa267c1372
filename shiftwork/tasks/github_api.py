"""GitHub's REST API, asked by one layer: what passes is asked again, and limits are waited for."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from shiftwork.addresses import LOOPBACK
from shiftwork.errors import InvalidInput, ShiftworkError
from shiftwork.secrets import Secret
from shiftwork.tasks.http import HttpClient
from shiftwork.text import one_line, truncate

if TYPE_CHECKING:
    import aiohttp

GITHUB: Final = "https://api.github.com"

_VERSION = "2022-11-28"
_TRIES = 5
_FIRST_PAUSE = 1.0
_SECONDARY_PAUSE = 60.0
"""What GitHub asks for where it doesn't say how long a secondary limit lasts."""
_ONE_REQUEST = 30.0
_MOST_BYTES = 16 * 1024 * 1024
_MOST_PAGES = 10
_PAGE = 100


class GitHubError(ShiftworkError):
    """GitHub refused, or did not answer; no other try helps before somebody does what the sentence says."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer: its status, its headers, its content."""

    status: int
    headers: Mapping[str, str]
    content: Any

    @property
    def said(self) -> str:
        """GitHub's own sentence on what is wrong."""
        message = self.content.get("message", "") if isinstance(self.content, dict) else ""
        errors = self.content.get("errors") if isinstance(self.content, dict) else None
        detail = "; ".join(_detail(each) for each in errors) if isinstance(errors, list) else ""
        return truncate(one_line(f"{message}: {detail}" if detail else str(message)).rstrip("."), 300)


class GitHubApi(HttpClient):
    """A connection to the API, as an async context; of one task.

    Attributes:
        requests: how many were sent.

    Args:
        base_url: `https`, or `http` on this machine.
        token: what allows it more than what anybody may; None: nothing does.
        seconds: how long all of it may take; a limit that lasts longer is not waited for.
        waiting: is told until when a limit is waited for, as seconds since the epoch.

    Raises:
        InvalidInput: the address is none, or would show the token to others.
    """

    def __init__(
        self,
        base_url: str,
        token: Secret | None,
        seconds: float,
        waiting: Callable[[float], Awaitable[None]],
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.query:
            raise InvalidInput(
                f"SHIFTWORK_GITHUB_API_URL is {base_url!r}; write it as https://HOST, or https://HOST/api/v3."
            )
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise InvalidInput(
                f"SHIFTWORK_GITHUB_API_URL is {base_url!r}, where others could read the token; use https."
            )
        self.requests = 0
        self._base = base_url.rstrip("/")
        self._has_token = token is not None
        self._deadline = time.monotonic() + seconds
        self._waiting = waiting
        headers = {"accept": "application/vnd.github+json", "x-github-api-version": _VERSION}
        if token is not None:
            headers["authorization"] = f"Bearer {token.reveal()}"
        super().__init__(headers, _ONE_REQUEST)

    async def get(self, path: str, **query: str) -> Any:
        """What is there; raises `GitHubError`."""
        return (await self._persist("GET", path, query=query)).content

    async def pages(self, path: str, **query: str) -> AsyncIterator[Mapping[str, Any]]:
        """Everything of a list, at most a thousand; raises `GitHubError`."""
        for page in range(1, _MOST_PAGES + 1):
            found = await self.get(path, **query, per_page=str(_PAGE), page=str(page))
            for each in found:
                yield each
            if len(found) < _PAGE:
                return

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        made: Callable[[], Awaitable[Mapping[str, Any] | None]],
        begin: Callable[[], Awaitable[None]],
        anew: bool,
    ) -> tuple[Mapping[str, Any], bool]:
        """Make something, once; what it is, and whether it was there already.

        Args:
            made: looks for what an earlier try made whose answer was lost.
            begin: is awaited before each try; what it raises keeps it from being made.
            anew: whether an earlier attempt at the task may have made it.
        """
        pause = _FIRST_PAUSE
        for number in range(1, _TRIES + 1):
            if (anew or number > 1) and (found := await made()) is not None:
                return found, True
            await begin()
            answer = await self._once("POST", path, body=body)
            if isinstance(answer, Answered) and answer.status in (200, 201):
                return answer.content, False
            pause = await self._after(answer, number, pause)
        raise AssertionError("the last try raises")

    async def _persist(self, method: str, path: str, *, query: Mapping[str, str]) -> Answered:
        pause = _FIRST_PAUSE
        for number in range(1, _TRIES + 1):
            answer = await self._once(method, path, query=query)
            if isinstance(answer, Answered) and answer.status == 200:
                return answer
            pause = await self._after(answer, number, pause)
        raise AssertionError("the last try raises")

    async def _once(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Answered | str:
        """The answer, or why there is none."""
        import aiohttp  # noqa: PLC0415 - loaded when this was entered
        from yarl import URL  # noqa: PLC0415 - as above

        self.requests += 1
        where = f"{self._base}{path}"
        try:
            for _ in range(3):
                async with self.http.request(
                    method, where, params=query, json=body, allow_redirects=False
                ) as response:
                    # A repository that was renamed; but the token goes to no other host.
                    further = response.headers.get("location", "")
                    if response.status in (301, 302, 307, 308) and _same_origin(where, further):
                        where, query = str(URL(where).join(URL(further))), None
                        continue
                    data = await _read(response.content)
                    return Answered(response.status, response.headers, _parsed(data))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return one_line(str(error)) or type(error).__name__
        return "it sent us from one address to another"

    async def _after(self, answer: Answered | str, number: int, pause: float) -> float:
        """Wait before another try; the next pause. Raises `GitHubError` where none helps."""
        limited = _limited(answer) if isinstance(answer, Answered) else None
        if isinstance(answer, Answered) and limited is None and answer.status < 500:
            raise GitHubError(_refusal(answer, has_token=self._has_token))
        seconds = pause if limited is None else limited
        late = time.monotonic() + seconds > self._deadline
        if late and limited is not None:
            raise GitHubError(
                f"GitHub takes no more for {seconds:.0f} s, which is longer than this task may take: "
                f"{_trouble(answer)}."
            )
        if late or number == _TRIES:
            raise GitHubError(f"GitHub did not answer ({number} tries): {_trouble(answer)}.")
        if limited is not None:
            await self._waiting(time.time() + seconds)
        await asyncio.sleep(seconds)
        return pause * 2


def _limited(answer: Answered) -> float | None:
    """For how many seconds GitHub wants no more; None if this is no such answer."""
    if answer.status not in (403, 429):
        return None
    after = answer.headers.get("retry-after", "")
    if after.isdigit():
        return float(after)
    reset = answer.headers.get("x-ratelimit-reset", "")
    if answer.headers.get("x-ratelimit-remaining") == "0" and reset.isdigit():
        return max(1.0, float(reset) - time.time() + 1)
    if answer.status == 429 or "secondary rate limit" in answer.said.lower():
        return _SECONDARY_PAUSE
    return None


def _refusal(answer: Answered, *, has_token: bool) -> str:
    said = f" ({answer.said})" if answer.said else ""
    match answer.status:
        case 401:
            return f"GitHub does not know the token{said}; check what SHIFTWORK_GITHUB_TOKEN refers to."
        case 403:
            what = "the token may not do that" if has_token else "that needs a token"
            return f"GitHub refuses: {what}{said}; see SHIFTWORK_GITHUB_TOKEN."
        case 404:
            whose = "the token does not see it" if has_token else "it needs a token (SHIFTWORK_GITHUB_TOKEN)"
            return f"GitHub has no such thing, or {whose}{said}."
        case 410:
            return f"GitHub has that no more{said}."
        case _:
            return f"GitHub refuses with status {answer.status}{said}."


def _trouble(answer: Answered | str) -> str:
    return answer if isinstance(answer, str) else f"status {answer.status} {answer.said}".strip()


def _detail(error: object) -> str:
    if isinstance(error, dict):
        return str(error.get("message") or " ".join(str(error.get(k, "")) for k in ("field", "code"))).strip()
    return str(error)


def _same_origin(here: str, there: str) -> bool:
    from yarl import URL  # noqa: PLC0415 - as above

    return bool(there) and URL(here).join(URL(there)).origin() == URL(here).origin()


async def _read(stream: "aiohttp.StreamReader") -> bytes:
    data = bytearray()
    async for piece in stream.iter_chunked(65_536):
        data += piece
        if len(data) > _MOST_BYTES:
            raise GitHubError(f"GitHub's answer is larger than {_MOST_BYTES:,} bytes.")
    return bytes(data)


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return {"message": data[:300].decode(errors="replace")}
