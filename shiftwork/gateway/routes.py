"""The few paths of providers that are forwarded, and where to."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus, urlsplit

from shiftwork.gateway.head import Head, malformed
from shiftwork.gateway.policy import Upstream
from shiftwork.gateway.refusals import Reason, Refused, Wire

TOKEN_PARAMETER = "key"  # noqa: S105 - the name of a query parameter
_PATH = re.compile(r"(?:/[A-Za-z0-9_~:.-]+)+/?")
_QUERY = re.compile(r"[A-Za-z0-9._~=&+%:,-]*")
_ID = r"[A-Za-z0-9][A-Za-z0-9_.:-]*"
_NAME = "[A-Za-z0-9][A-Za-z0-9_.-]*"
_READ = frozenset({"GET", "HEAD"})
_WRITE = frozenset({"POST"})

_PARAMETERS = frozenset(
    {
        "after",
        "after_id",
        "alt",
        "api-version",
        "before_id",
        "beta",
        "client_version",
        "limit",
        "order",
        "pageSize",
        "pageToken",
    }
)
"""The query parameters that are forwarded: providers have others that change who pays or who is asked."""


_FORMS = frozenset({"json", "sse"})
"""Of answers: in others nobody would find the tokens."""


@dataclass(frozen=True, slots=True)
class Route:
    """A path that is forwarded.

    Attributes:
        kind: as in `Call`.
        methods: with which it may be asked.
        metered: whether it costs tokens.
    """

    kind: str
    methods: frozenset[str]
    metered: bool = False


_ROUTES: Mapping[Wire, tuple[tuple[re.Pattern[str], Route], ...]] = {
    Wire.ANTHROPIC: (
        (re.compile("/v1/messages"), Route("messages", _WRITE, metered=True)),
        (re.compile("/v1/messages/count_tokens"), Route("count_tokens", _WRITE)),
        (re.compile(f"/v1/models(?:/{_ID})?"), Route("models", _READ)),
    ),
    Wire.OPENAI: (
        (re.compile("/v1/chat/completions"), Route("chat", _WRITE, metered=True)),
        (re.compile("/v1/responses"), Route("responses", _WRITE, metered=True)),
        (re.compile(f"/v1/models(?:/{_ID})?"), Route("models", _READ)),
    ),
    Wire.GEMINI: (
        (re.compile(rf"/v1beta/models/{_NAME}:generateContent"), Route("generate", _WRITE, metered=True)),
        (
            re.compile(rf"/v1beta/models/{_NAME}:streamGenerateContent"),
            Route("generate", _WRITE, metered=True),
        ),
        (re.compile(rf"/v1beta/models/{_NAME}:countTokens"), Route("count_tokens", _WRITE)),
        (re.compile(f"/v1beta/models(?:/{_NAME})?"), Route("models", _READ)),
    ),
    Wire.OLLAMA: (
        (re.compile("/api/chat"), Route("chat", _WRITE, metered=True)),
        (re.compile("/api/generate"), Route("generate", _WRITE, metered=True)),
        (re.compile("/api/embed"), Route("embed", _WRITE, metered=True)),
        (re.compile("/api/show"), Route("show", _WRITE)),
        (re.compile("/api/tags"), Route("models", _READ)),
    ),
}
_VERSIONS = {Wire.ANTHROPIC: "/v1", Wire.OPENAI: "/v1", Wire.GEMINI: "/v1beta", Wire.OLLAMA: "/api"}


def split_target(target: str) -> tuple[str, str]:
    """The path and the query of a request to the gateway itself; raises `Refused` if they may be misread."""
    path, _, query = target.partition("?")
    segments = path.split("/")
    if not _PATH.fullmatch(path) and path != "/":
        raise malformed("the path holds what no path of a model provider does.")
    if "." in segments or ".." in segments:
        raise malformed("the path leads elsewhere.")
    if not _QUERY.fullmatch(query):
        raise malformed("the query holds what no query of a model provider does.")
    return path, query


def find_route(wire: Wire | None, method: str, path: str) -> Route:
    """The route of this path; raises `Refused` if there is none."""
    if wire is None:
        raise Refused(403, Reason.FORBIDDEN, "this session may not ask a model.")
    for pattern, route in _ROUTES[wire]:
        if pattern.fullmatch(path):
            if method not in route.methods:
                allow = ", ".join(sorted(route.methods))
                raise Refused(405, Reason.FORBIDDEN, f"this path takes {allow} only.", (("allow", allow),))
            return route
    raise Refused(
        404, Reason.UNKNOWN_PATH, f"no such path is forwarded to a provider of the wire {wire.value}."
    )


def query_tokens(query: str) -> list[str]:
    """The tokens that a query carries."""
    return [value for name, value in _parameters(query) if name == TOKEN_PARAMETER]


def upstream_url(upstream: Upstream, path: str, query: str) -> str:
    """Where a routed request goes; raises `Refused` if the query asks for what is not forwarded."""
    kept = []
    for pair, (name, value) in zip(filter(None, query.split("&")), _parameters(query), strict=True):
        if name == TOKEN_PARAMETER:
            continue
        if name not in _PARAMETERS or (name == "alt" and value not in _FORMS):
            raise Refused(403, Reason.FORBIDDEN, "the query has a parameter that is not forwarded.")
        kept.append(pair)
    version = _VERSIONS[upstream.wire]
    parts = urlsplit(upstream.base_url)
    base = parts.path.rstrip("/")
    if upstream.wire is Wire.OPENAI and base:
        # Its base URL carries the version, which is not everywhere the same.
        path = path.removeprefix(version)
    else:
        base = base.removesuffix(version)
    return f"{parts.scheme}://{parts.netloc}{base}{path}" + (f"?{'&'.join(kept)}" if kept else "")


def model_in(path: str) -> str:
    """The model that a path of Gemini's names."""
    return path.rpartition("/")[2].partition(":")[0] if ":" in path else ""


def check_host(head: Head, authorities: frozenset[str]) -> None:
    """Raise `Refused` unless the request is for the gateway itself: pages of other names get nothing here."""
    if (head.get("host") or "").lower() not in authorities:
        raise Refused(421, Reason.FORBIDDEN, "the header host does not name this gateway.")


def _parameters(query: str) -> list[tuple[str, str]]:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]
