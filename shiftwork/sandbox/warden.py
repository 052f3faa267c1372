"""The process that starts a worker's agents: `python -P -m shiftwork.sandbox.warden FD PARENT`.

It adopts whatever an agent leaves behind, so that it always knows what lives, and outlives its worker by the
moment it takes to kill it all. It imports little, and has one thread: a new program is started by vfork, with
the limits and the tag that this process takes on for that moment.
"""

import contextlib
import ctypes
import os
import select
import signal
import socket
import sys
import time

from shiftwork.sandbox.agents import Agent, start
from shiftwork.sandbox.proc import LINUX, children, is_zombie, marker_of, tag_of, with_descendants
from shiftwork.sandbox.wire import Channel, Message

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PAUSE = 5
"""Milliseconds between two looks at processes that were killed and have not ended."""


class Warden:
    """All agents of one worker. Invariant: an agent's end is told once nothing of it lives."""

    def __init__(self, channel: Channel, parent: int) -> None:
        self._channel = channel
        self._parent = parent
        self._agents: dict[int, Agent] = {}
        self._leaders: dict[int, Agent] = {}
        self._ending: set[int] = set()
        self._owners: dict[int, set[int]] = {}
        """Orphans by pid, with the agents that may have left them; one agent means that it did."""

    def serve(self) -> None:
        """Do what the worker asks, until it is gone."""
        poll = select.poll()
        woken = _wakeup_fd()
        for fd in (self._channel.fileno(), woken):
            poll.register(fd, select.POLLIN)
        with contextlib.suppress(AttributeError, OSError):
            poll.register(os.pidfd_open(self._parent), select.POLLIN)
        while os.getppid() == self._parent:
            ready = {fd for fd, _ in poll.poll(_PAUSE if self._ending else None)}
            if woken in ready:
                os.read(woken, 4096)
            if self._channel.fileno() in ready:
                for message in self._channel.receive():
                    self._obey(message)
            self._collect()
            for number in list(self._ending):
                self._kill(self._agents[number])

    def leave(self) -> None:
        """Kill everything that descends from this process; gives up on what another user owns."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            own = children(os.getpid()) if LINUX else []
            if not own and not self._sweep():
                return
            _signal_each(with_descendants(own), signal.SIGKILL)
            time.sleep(_PAUSE / 1000)

    def _sweep(self) -> int:
        """Where nothing can be adopted, the markers lead to what is left."""
        if LINUX:
            return 0
        from shiftwork.sandbox.sweep import kill_all  # noqa: PLC0415 - only here is psutil needed

        return sum(kill_all(agent.marker, spare={os.getpid()}) for agent in self._agents.values())

    def _obey(self, message: Message) -> None:
        number = message["id"]
        if message["do"] == "ping":
            self._channel.send({"id": number})
        elif message["do"] == "start":
            fds = [self._channel.fds.popleft() for _ in range(message["fds"])]
            agent = self._agents[number] = start(message, fds)
            if agent.pid is not None:
                self._leaders[agent.pid] = agent
            self._channel.send({"id": number, "pid": agent.pid})
            if agent.pid is None:
                self._report(agent)
        elif number in self._agents and message["do"] == "signal":
            _signal_each(self._members(self._agents[number]), message["signal"])
        elif number in self._agents:
            self._ending.add(number)

    def _collect(self) -> None:
        """Wait for all that ended. Its children are ours by then, so that none can be overlooked."""
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            owners = self._owners.pop(pid, set())
            agent = self._leaders.pop(pid, None)
            if agent is not None:
                agent.ended(status, used)
                self._kill(agent)
            elif len(owners) == 1 and (owner := self._agents.get(next(iter(owners)))):
                owner.add(used)

    def _kill(self, agent: Agent) -> None:
        left = self._members(agent)
        alive = [pid for pid in left if _signal_one(pid, signal.SIGKILL)]
        if agent.pid is None and not alive:
            self._report(agent)
        else:
            self._ending.add(agent.number)

    def _report(self, agent: Agent) -> None:
        del self._agents[agent.number]
        self._ending.discard(agent.number)
        for suspects in self._owners.values():
            suspects.discard(agent.number)
        agent.close()
        self._channel.send(
            {"id": agent.number, "code": agent.code, "cpu": agent.cpu_seconds, "peak": agent.peak_memory}
        )

    def _members(self, agent: Agent) -> list[int]:
        """Everything of this agent that lives, with what only it can have left."""
        if not LINUX:
            return self._marked(agent)
        roots = [] if agent.pid is None else [agent.pid]
        for pid in children(os.getpid()):
            if pid not in self._leaders:
                if pid not in self._owners:
                    self._owners[pid] = self._suspects(pid)
                if self._owners[pid] <= {agent.number}:
                    roots.append(pid)
        return with_descendants(roots)

    def _suspects(self, pid: int) -> set[int]:
        tag, marker = tag_of(pid), marker_of(pid)
        for agent in self._agents.values():
            if tag == agent.tag or marker == agent.marker:
                return {agent.number}
        return set(self._agents)

    def _marked(self, agent: Agent) -> list[int]:
        from shiftwork.sandbox.sweep import processes_of  # noqa: PLC0415 - only here is psutil needed

        return [process.pid for process in processes_of(agent.marker, spare={os.getpid()})]


def _signal_each(pids: list[int], number: int) -> None:
    for pid in pids:
        _signal_one(pid, number)


def _signal_one(pid: int, number: int) -> bool:
    """Whether there was a living process that can be signalled."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return not (LINUX and is_zombie(pid))


def _wakeup_fd() -> int:
    """A descriptor that becomes readable when a child ends; what would end us is left to the worker."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXCPU):
        signal.signal(number, signal.SIG_IGN)
    return reading


def _close_others(fd: int) -> None:
    """Keep our connection from the agents, and close what others left open for whatever the worker starts."""
    os.set_inheritable(fd, False)  # noqa: FBT003 - its own signature
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - names are wanted, not paths
        if int(name) > 2 and int(name) != fd:
            with contextlib.suppress(OSError):  # the descriptor of the listing itself is closed by now
                os.close(int(name))


def main(arguments: list[str]) -> int:
    """Serve a worker to its end."""
    fd, parent = map(int, arguments)
    _close_others(fd)
    os.chdir("/")
    if LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        # An agent may have stopped us. When the worker dies, we are to go on, so that we notice.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT, 0, 0, 0)
    warden = Warden(Channel(socket.socket(fileno=fd)), parent)
    # A broken connection is the worker's end too; any other error must not set the agents free either.
    try:
        with contextlib.suppress(EOFError, ConnectionError):
            warden.serve()
    finally:
        warden.leave()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
