"""What one program may touch; sandboxes that can hold it to that are made from it."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

DOOR_FD = 6
"""The descriptor over which a confined program's network is handed out; see `Door`."""

DOOR_PORT = 4180
"""The port on its own loopback at which a confined program finds the gateway."""


class Network(StrEnum):
    """What a confined program can reach.

    `none` is a loopback of its own on which nothing listens; `door` one on which nothing but the gateway
    does; `host` is the network of the machine.
    """

    NONE = "none"
    DOOR = "door"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Bind:
    """A folder or file of this machine that a confined program sees.

    Attributes:
        source: where it is; an absolute path without links.
        target: where the program sees it; the same path where a sandbox can't move it.
        writable: whether it may be changed.
    """

    source: Path
    target: Path
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Confinement:
    """What one program may touch, beside the system's own programs and libraries, which it may read.

    Attributes:
        binds: what else it sees. Private folders for `/tmp` and `/dev/shm` it always has.
        network: what it can reach.
        user: the user and group number it runs as, if this process is root and can change that; the writable
            binds must belong to it. None: as this process's own user.
        scratch_mb: how much its private `/tmp` may hold, in millions of bytes; it counts as memory.
        gateway_port: where `door` finds the gateway on the loopback of this machine, for sandboxes without a
            network of their own; without it they let nothing out.
    """

    binds: tuple[Bind, ...]
    network: Network = Network.NONE
    user: int | None = None
    scratch_mb: int = 2_000
    gateway_port: int | None = None
