"""macOS: programs under `sandbox-exec`, confined by a generated profile."""

import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from shiftwork.sandbox.base import Launch
from shiftwork.sandbox.confinement import Confinement, Network
from shiftwork.sandbox.landlock import temporary_folder
from shiftwork.sandbox.probe import holds
from shiftwork.sandbox.subreaper import HeldByWarden, Subreaper

_SANDBOX_EXEC: Final = Path("/usr/bin/sandbox-exec")

_SYSTEM: Final = (
    *("/System", "/Library/Apple", "/Library/Developer", "/Library/Frameworks", "/bin", "/opt/homebrew"),
    *("/private/etc/hosts", "/private/etc/passwd", "/private/etc/group", "/private/etc/protocols"),
    *("/private/etc/resolv.conf", "/private/etc/services", "/private/etc/shells", "/private/etc/ssl"),
    *("/private/var/db/dyld", "/private/var/db/timezone", "/private/var/select", "/sbin", "/usr"),
)
"""What every program may read; macOS has `/etc`, `/tmp` and `/var` below `/private`."""

_DEVICES: Final = ("/dev/null", "/dev/random", "/dev/urandom", "/dev/zero")

_BASE: Final = """\
(version 1)
(deny default)
(allow process-exec process-fork)
(allow process-info* (target same-sandbox))
(allow signal (target same-sandbox))
(allow sysctl-read)
(allow ipc-posix-sem)
(allow mach-lookup
  (global-name "com.apple.system.opendirectoryd.libinfo")
  (global-name "com.apple.system.logger")
  (global-name "com.apple.trustd.agent"))
(allow file-read-metadata)
(allow file-read* (literal "/"))"""


def profile(confinement: Confinement) -> str:
    """The profile, in the sandbox's own language, that confines a program to this.

    Raises:
        ValueError: a path can't be written in a profile.
    """
    readable = [*_SYSTEM, *(str(bind.source) for bind in confinement.binds)]
    writable = [str(bind.source) for bind in confinement.binds if bind.writable]
    return "\n".join(
        [
            _BASE,
            _allow("file-read*", "subpath", readable),
            _allow("file-read* file-write-data", "literal", _DEVICES),
            *([_allow("file-write*", "subpath", writable)] if writable else []),
            *_network(confinement),
            "",
        ]
    )


def _network(confinement: Confinement) -> list[str]:
    if confinement.network is Network.HOST:
        return ["(allow network* system-socket)"]
    if confinement.network is Network.DOOR and confinement.gateway_port is not None:
        return [f'(allow network-outbound (remote tcp "localhost:{confinement.gateway_port}"))']
    return []


def _allow(what: str, how: str, paths: Iterable[str]) -> str:
    return "\n".join([f"(allow {what}", *(f"  ({how} {_quoted(path)})" for path in paths)]) + ")"


def _quoted(path: str) -> str:
    """A path as a string of the profile's language, which knows these two escapes alone."""
    if not path.startswith("/") or any(ord(character) < 32 for character in path):
        raise ValueError(
            f"the path {path!r} can't be written in a profile; use an absolute one of plain characters"
        )
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Seatbelt:
    """Programs under `sandbox-exec`, started and ended by a warden; the user stays who it is.

    Args:
        warden: what starts them and keeps their processes together.
    """

    level = "sandbox-exec"
    moves_binds = False
    own_network = False

    def __init__(self, warden: Subreaper) -> None:
        self._warden = warden

    def works(self) -> bool:
        """See `Sandbox.works`; found by running something that tries to read what it may not."""
        return sys.platform == "darwin" and os.access(_SANDBOX_EXEC, os.X_OK) and holds(self)

    def start(self, launch: Launch) -> HeldByWarden:
        """See `Sandbox.start`; without a confinement a program is held together and nothing else.

        Raises:
            OSError: a path can't be confined to.
        """
        if launch.confinement is None:
            return self._warden.start(launch)
        try:
            text = profile(launch.confinement)
        except ValueError as error:
            raise OSError(str(error)) from error
        argv = (str(_SANDBOX_EXEC), "-p", text, *launch.argv)
        env = {**launch.env, **temporary_folder(launch.env, launch.confinement)}
        return self._warden.start(replace(launch, argv=argv, env=env, confinement=None, door=None))
