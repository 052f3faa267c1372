"""Where unix sockets and free ports are found."""

import hashlib
import os
import secrets
import socket
import stat
import tempfile
from contextlib import ExitStack
from pathlib import Path

from shiftwork.errors import StackError

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """`count` different ports that nobody listens on now; another process may still take one first."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]


def hidden_loopback() -> str:
    """An address of the loopback that no page in a browser can guess; 127.0.0.1 where there is no other."""
    address = f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"
    try:
        with socket.socket() as probe:
            probe.bind((address, 0))
    except OSError:  # macOS has 127.0.0.1 alone
        return LOOPBACK
    return address


def socket_folder(owner: Path) -> Path:
    """A private folder for sockets, the same for the same `owner` path, short enough for any socket.

    A unix socket's path is limited to 107 bytes (103 on macOS), and a state folder may be deep. The folder
    lies in a place where every local user can make one, so one that is not ours is refused.

    Raises:
        StackError: somebody else made it first.
    """
    digest = hashlib.sha256(os.fsencode(owner.absolute())).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"shiftwork-{os.getuid()}-{digest}"
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise StackError(
                f"{folder} belongs to somebody else: remove it, or set TMPDIR to a folder of your own."
            ) from None
    folder.chmod(0o700)
    return folder
