"""A small GitHub on the loopback: a repository with issues, comments and pull requests, and its moods."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

TOKEN = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"
Mood = Callable[[web.Request], web.StreamResponse | None]


class SmallGitHub:
    """Keeps what is written. `moods` are asked before each request, and used up by the answer they give.

    Attributes:
        seen: every request, as `METHOD path?query`.
        deaf: how many things are made whose answer is lost.
    """

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[str] = []
        self.tokens: list[str | None] = []
        self.moods: list[Mood] = []
        self.deaf = 0
        self.comments: list[dict[str, Any]] = []
        self.issues: list[dict[str, Any]] = [self._thing(1, "It is broken", "Nothing works.")]
        self.pulls: list[dict[str, Any]] = []

    @staticmethod
    def _thing(number: int, title: str, body: str) -> dict[str, Any]:
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        url = f"https://github.example/octo/hello/issues/{number}"
        user, labels = {"login": "ada"}, [{"name": "bug"}]
        facts = {"number": number, "id": number, "title": title, "body": body, "html_url": url}
        return {
            **facts,
            "state": "open",
            "created_at": now,
            "updated_at": now,
            "user": user,
            "labels": labels,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(f"{request.method} {request.path_qs}")
        self.tokens.append(request.headers.get("authorization"))
        if self.moods and (answer := self.moods[0](request)) is not None:
            self.moods.pop(0)
            return answer
        found = await self._answer(request)
        if request.method == "POST" and self.deaf:
            self.deaf -= 1
            assert request.transport is not None
            request.transport.abort()
        return found

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        lists = {
            "/repos/octo/hello/issues/1/comments": self.comments,
            "/repos/octo/hello/issues": self.issues,
            "/repos/octo/hello/pulls": self.pulls,
        }
        kept = lists.get(request.path)
        if kept is not None and request.method == "POST":
            given = await request.json()
            made = self._thing(len(kept) + 10, given.pop("title", ""), given["body"]) | given
            kept.append(made)
            return web.json_response(made, status=201)
        if kept is not None:
            page, per = int(request.query.get("page", 1)), int(request.query.get("per_page", 30))
            return web.json_response(kept[(page - 1) * per : page * per])
        away = {"location": "http://127.0.0.1:9/repos/octo/hello"}
        fixed: dict[str, tuple[Any, int, dict[str, str]]] = {
            "/repos/octo/hello": (
                {"full_name": "octo/hello", "default_branch": "main", "secret_field": 1},
                200,
                {},
            ),
            "/repos/octo/hello/issues/1": (self.issues[0], 200, {}),
            "/repos/octo/old": ({}, 301, {"location": "/repos/octo/hello"}),
            "/repos/octo/elsewhere": ({"message": "Moved"}, 301, away),
        }
        content, status, headers = fixed.get(request.path, ({"message": "Not Found"}, 404, {}))
        return web.json_response(content, status=status, headers=headers)


def says(status: int, message: str = "no", **headers: str) -> Mood:
    """A mood that answers once with this."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: web.json_response({"message": message}, status=status, headers=names)


@asynccontextmanager
async def small_github() -> AsyncIterator[SmallGitHub]:
    """One that listens."""
    hub = SmallGitHub()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hub.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield hub
    finally:
        await runner.cleanup()
