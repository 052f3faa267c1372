"""How a warden starts an agent, and what it knows of it."""

import contextlib
import errno
import os
import resource
import signal
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from shiftwork.sandbox.memory import own_peak, peak_beyond, peak_of
from shiftwork.sandbox.proc import LINUX, MARKER, tag_for
from shiftwork.sandbox.wire import Message

# Python ignores SIGPIPE and SIGXFSZ, the warden more. A new program starts with defaults.
_DEFAULT_SIGNALS = (
    *(signal.SIGPIPE, signal.SIGXFSZ, signal.SIGXCPU, signal.SIGCHLD),
    *(signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2),
)


class Agent:
    """One agent, from its start to its end.

    Attributes:
        number: what the worker calls it.
        pid: of its first process while that is not waited for, or None.
        code: how that ended; negative codes are signals.
        cpu_seconds, peak_memory: of those of its processes that were waited for.
        inherited: bytes of memory that the system counts for its first process, but that this one had.
    """

    def __init__(self, number: int, marker: str, lock: int | None) -> None:
        self.number = number
        self.marker = marker
        self.tag = tag_for(marker)
        self.pid: int | None = None
        self.code = -int(signal.SIGKILL)
        self.cpu_seconds = 0.0
        self.peak_memory = 0
        self.inherited = 0
        self._lock = lock

    def ended(self, status: int, used: resource.struct_rusage) -> None:
        """Its first process was waited for."""
        self.pid = None
        self.code = os.waitstatus_to_exitcode(status)
        self._count(used, peak_beyond(used, self.inherited))

    def add(self, used: resource.struct_rusage) -> None:
        """Count in what another of its processes used, which was forked from one of its own."""
        self._count(used, peak_of(used))

    def _count(self, used: resource.struct_rusage, peak: int) -> None:
        self.cpu_seconds += used.ru_utime + used.ru_stime
        self.peak_memory = max(self.peak_memory, peak)

    def close(self) -> None:
        """Free its lock: nothing of it lives."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def start(request: Message, fds: list[int]) -> Agent:
    """Start what the worker asks for; what can't be started has no pid, but a status and a last word.

    Args:
        request: `argv`, `cwd`, `env`, `marker`, `rlimits`, and whether there are `stdin` and `lock`.
        fds: standard output and error, then standard input and the lock file, if there are.
    """
    stdout, stderr, *others = fds
    stdin = others.pop(0) if request["stdin"] else os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    agent = Agent(request["id"], request["marker"], others.pop(0) if request["lock"] else None)
    rlimits = {int(number): (soft, hard) for number, (soft, hard) in request["rlimits"].items()}
    try:
        with _soft(rlimits, agent.tag):
            agent.pid = _spawn(request, (stdin, stdout, stderr))
            agent.inherited = own_peak()
        _harden(agent.pid, rlimits)
    except _Failed as failure:
        agent.code = failure.code
        _say(stderr, str(failure))
    except (OSError, ValueError, TypeError, OverflowError) as error:
        # A request that no system call takes must not end this process, which holds other agents.
        agent.code = 126
        _say(stderr, f"it can't be given to a program: {error}")
    finally:
        for fd in (stdin, stdout, stderr):
            os.close(fd)
    return agent


def _say(stderr: int, sentence: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads any more
        os.write(stderr, f"{sentence}\n".encode(errors="backslashreplace"))


class _Failed(Exception):  # noqa: N818 - never leaves this module
    """Nothing was started, for this reason, with the status that a shell gives to it."""

    def __init__(self, what: str, error: OSError, code: int) -> None:
        super().__init__(f"{what}: {error.strerror}")
        self.code = code


def _spawn(request: Message, streams: tuple[int, ...]) -> int:
    argv = request["argv"]
    env = {**request["env"], MARKER: request["marker"]}
    try:
        os.chdir(request["cwd"])
    except OSError as error:
        raise _Failed(request["cwd"], error, 126) from error
    try:
        return _posix_spawn(argv, env, streams)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise _Failed(argv[0], error, 127) from error
    finally:
        os.chdir("/")
    try:  # A script without an interpreter line: POSIX has the shell run it.
        os.chdir(request["cwd"])
        return _posix_spawn(["/bin/sh", *argv], env, streams)
    except OSError as error:
        raise _Failed(argv[0], error, 126) from error
    finally:
        os.chdir("/")


def _posix_spawn(argv: list[str], env: Mapping[str, str], streams: tuple[int, ...]) -> int:
    actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_DUP2, fd, target) for target, fd in enumerate(streams)]
    return os.posix_spawn(
        argv[0], argv, env, file_actions=actions, setsid=True, setsigmask=(), setsigdef=_DEFAULT_SIGNALS
    )


@contextlib.contextmanager
def _soft(rlimits: Mapping[int, tuple[int, int]], tag: int) -> Iterator[None]:
    """Have the soft limits and the tag for a moment: what starts in it has them from the beginning."""
    wanted = {number: soft for number, (soft, _) in rlimits.items()}
    if sys.platform == "linux":
        wanted[resource.RLIMIT_RTTIME] = tag
    before = {number: resource.getrlimit(number) for number in wanted}
    try:
        for number, soft in wanted.items():
            resource.setrlimit(number, (_lower(soft, before[number][1]), before[number][1]))
        yield
    finally:
        for number, pair in before.items():
            resource.setrlimit(number, pair)


def _harden(pid: int, rlimits: Mapping[int, tuple[int, int]]) -> None:
    """Lower the hard limits, so that the agent can't raise the soft ones again."""
    for number, (soft, hard) in rlimits.items() if LINUX else ():
        _, highest = resource.getrlimit(number)
        # It may have ended, or have become another user's by a set-user-id program.
        with contextlib.suppress(OSError):
            resource.prlimit(pid, number, (_lower(soft, highest), _lower(hard, highest)))  # type: ignore[attr-defined,unused-ignore]  # Linux


def _lower(wanted: int, highest: int) -> int:
    return wanted if highest == resource.RLIM_INFINITY else min(wanted, highest)
