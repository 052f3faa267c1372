"""What one session may do through the gateway."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from shiftwork.errors import InvalidInput
from shiftwork.gateway.call import Call
from shiftwork.gateway.hosts import HostPattern
from shiftwork.gateway.refusals import Wire

CREDENTIAL_HEADERS = {
    Wire.ANTHROPIC: "x-api-key",
    Wire.OPENAI: "authorization",
    Wire.GEMINI: "x-goog-api-key",
    Wire.OLLAMA: "authorization",
}
"""The header in which each provider takes its key, if it wants one; `authorization` as `Bearer KEY`."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a client of the gateway may use; seconds and bytes.

    Attributes:
        body: of one request.
        inspected: of one request whose body is looked at as a whole.
        held: of all requests of one session that are in memory as a whole.
        connections: at once, of one session; as many again may be there that have not shown its token.
        stranger: a connection that shows no token.
        idle: a connection without a request; also one in whose tunnel nothing moves.
        head: from the first byte of a request to the end of its headers.
        stall: between two pieces of a body, or until the client takes what it is sent.
        connect: until the provider, or a listed host, accepts the connection.
        read_on: how long an answer is still heard whose client has gone, to learn what it costs.
        settle: how long the end of an answer waits until its cost is written.
        silence: until the head of a provider's answer, and between two pieces of it; models may think long.
    """

    body: int = 64 * 1024 * 1024
    inspected: int = 16 * 1024 * 1024
    held: int = 64 * 1024 * 1024
    connections: int = 64
    stranger: float = 60.0
    idle: float = 300.0
    head: float = 10.0
    stall: float = 60.0
    connect: float = 15.0
    read_on: float = 20.0
    settle: float = 5.0
    silence: float = 900.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """A model provider, as a person configured it; it may be on loopback or in a private network.

    Attributes:
        wire: what it speaks.
        base_url: as its documentation gives it, with or without the version (`/v1`, `/v1beta`; `/api`).
        secret: the key. None sends none.
        header: the header that takes the key; by default the wire's own. In `authorization` it goes as
            `Bearer KEY`, unless the secret holds a scheme of its own.

    Raises:
        InvalidInput: the URL or the secret can't be used.
    """

    wire: Wire
    base_url: str
    secret: str | None = field(default=None, repr=False)
    header: str | None = None

    def __post_init__(self) -> None:
        wrong = InvalidInput(
            "The gateway's base URL must be http://… or https://…, without user, query or fragment."
        )
        try:
            parts = urlsplit(self.base_url)
            usable = parts.hostname and parts.port != 0 and parts.scheme in {"http", "https"}
        except ValueError:
            raise wrong from None
        if not usable or "@" in parts.netloc or parts.query or parts.fragment:
            raise wrong
        if not all("!" <= character <= "~" for character in self.base_url):
            raise wrong
        if self.secret is not None and not (
            self.secret.isascii() and self.secret.isprintable() and self.secret
        ):
            raise InvalidInput("The model provider's key must be one line of ASCII text that is not empty.")

    @property
    def host(self) -> str:
        """The host of the base URL, in lower case."""
        return urlsplit(self.base_url).hostname or ""

    def credential(self) -> tuple[str, str] | None:
        """The header that carries the key."""
        if self.secret is None:
            return None
        name = (self.header or CREDENTIAL_HEADERS[self.wire]).lower()
        bare = name == "authorization" and " " not in self.secret
        return name, f"Bearer {self.secret}" if bare else self.secret


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of the environment that an agent plays.

    Attributes:
        status: of HTTP.
        body: a JSON document.
    """

    status: int
    body: bytes


AnswerEnvironment = Callable[[bytes], Awaitable[Said]]
"""Answers what an agent said, whatever that is. It may wait, and is cancelled when its client goes away."""


def _no_budget() -> str | None:
    return None


async def _ready() -> str | None:
    return None


def _unheard(call: Call) -> None:
    """For sessions that nobody meters."""


async def _settled() -> None:
    """For sessions whose calls nobody writes down."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What one session may do.

    Attributes:
        upstream: where its questions to a model go; None allows none.
        model_hosts: if not empty, the only hosts that `upstream` may be at.
        models: if not empty, the only models that it may ask, by the names that questions give them, or
            by patterns as of `fnmatch`.
        hosts: `host`, `host:port`, `*.domain` or `*` that it may reach through the forward proxy; without a
            port 443 for `CONNECT` and 80 for plain HTTP.
        check_budget: asked before each question to a model: a sentence if the budget is spent, else None.
        before_question: awaited before each question to a model: a sentence if it can't be asked now, else
            None. What it waits for is not counted as the provider's silence.
        on_call: told of every request after its end; must return at once.
        settle: awaited after `on_call` was told of an answer to a question that costs, before the client has
            its end: returns once what was counted is durable, so that whoever can use an answer has been
            counted, whatever is killed then. After `Bounds.settle` seconds the answer is passed on anyway:
            it was paid for, and that somebody can use it matters more than when it is written.
        on_words: told what the model said in each answer, once it is over or was broken off; must return at
            once. None: nothing is made of it.
        environment: answers what is said at `ENVIRONMENT_PATH`; None: there is nothing to be played.
        label: names the session in the log.
        bounds: see there.

    Raises:
        InvalidInput: a host pattern is wrong, or the upstream's host is not allowed.
    """

    upstream: Upstream | None = None
    model_hosts: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    check_budget: Callable[[], str | None] = _no_budget
    before_question: Callable[[], Awaitable[str | None]] = _ready
    on_call: Callable[[Call], None] = _unheard
    settle: Callable[[], Awaitable[None]] = _settled
    on_words: Callable[[str], None] | None = None
    environment: AnswerEnvironment | None = None
    label: str = ""
    bounds: Bounds = field(default_factory=Bounds)

    def __post_init__(self) -> None:
        self.patterns()
        allowed = {host.lower() for host in self.model_hosts}
        if self.upstream is not None and allowed and self.upstream.host not in allowed:
            raise InvalidInput(
                f"The model provider's host {self.upstream.host!r} is not among those allowed."
            )

    @property
    def wire(self) -> Wire | None:
        """In whose words this session is refused."""
        return self.upstream.wire if self.upstream else None

    def patterns(self) -> tuple[HostPattern, ...]:
        """`hosts`, read."""
        return tuple(map(HostPattern.parse, self.hosts))
