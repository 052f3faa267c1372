"""The server of the REST interface: on the loopback, until it is told to end."""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from client.rest.app import create_app
from client.rest.streams import Streams
from client.serving import KEPT_ALIVE, listen
from client.strict import strict_protocol
from client.tokens import api_token
from shiftwork.errors import InvalidInput
from shiftwork.settings import Settings
from shiftwork.stack.sockets import LOOPBACK
from shiftwork.stack.strangers import Strangers

_GRACE_SECONDS = 5
_MOST_CONNECTIONS = 256
"""More of those that know the token are answered that they should come later; see `Strangers` for others."""


async def serve_api(
    settings: Settings,
    ready: Callable[[str, Path], None],
    *,
    port: int = 0,
    address: str = LOOPBACK,
    names: Sequence[str] = (),
) -> None:
    """Serve until the process is told to end.

    Args:
        ready: is told the address and the file of the token, once clients may come.
        port: 0: any that is free.
        address: where to listen; anything but the loopback lets others of the network try.
        names: what else clients may call this server: `HOST` or `HOST:PORT`.

    Raises:
        StackError: the port is taken, or the address is none of this machine's.
        InvalidInput: it listens everywhere, and nobody said by which name it is called.
    """
    check_names(address, names)
    token_file, token = api_token(settings)
    listener = listen(port, "--port PORT", address)
    hosts = _hosts(listener, address, names)
    streams = Streams()
    app = create_app(settings, token=token, hosts=hosts, streams=streams)
    config = uvicorn.Config(
        app,
        log_config=None,
        http=strict_protocol(Strangers()),
        access_log=False,
        server_header=False,
        date_header=False,
        lifespan="on",
        ws="none",
        timeout_keep_alive=KEPT_ALIVE,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        limit_concurrency=_MOST_CONNECTIONS,
    )
    server = _Server(config, streams, lambda: ready(f"http://{hosts[0]}", token_file))
    await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Tells when clients may come, and ends streams when it is told to end."""

    def __init__(self, config: uvicorn.Config, streams: Streams, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._streams = streams
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin, and tell so."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what never ends by itself first."""
        self._streams.closing.set()
        await super().shutdown(sockets)


def check_names(address: str, names: Sequence[str]) -> None:
    """Refuse an address that is everywhere without a name: no `Host` could be told from a wrong one."""
    try:
        everywhere = ipaddress.ip_address(address).is_unspecified
    except ValueError:
        raise InvalidInput(f"--listen {address!r} is no IP address; give one of this machine's.") from None
    if everywhere and not names:
        raise InvalidInput(
            f"--listen {address} is every address of this machine: say with --host how clients call it."
        )


def _hosts(listener: socket.socket, address: str, names: Sequence[str]) -> list[str]:
    """What the header `Host` may be; first what this server is called where it is told."""
    port = listener.getsockname()[1]
    own = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    given = [name if ":" in name.rpartition("]")[2] else f"{name}:{port}" for name in names]
    # Behind a proxy on the usual port, none is named.
    return [own, *given, *names]
