"""The process that starts a worker's agents: `python -P -m shiftwork.sandbox.warden FD PARENT`.

It forks a keeper for each, which starts it and holds whatever descends from it; and it outlives its worker by
the moment it takes to kill it all. It imports little, and has one thread, so that forking is cheap and safe.
"""

import contextlib
import gc
import math
import os
import select
import signal
import socket
import sys
import time

from shiftwork.sandbox.keeper import Report, be_subreaper, kill_tree, read_reports, signal_at_parents_end
from shiftwork.sandbox.keepers import IdleKeepers, Kept
from shiftwork.sandbox.proc import LINUX, children, with_descendants
from shiftwork.sandbox.wire import Channel, Message

_PAUSE = 5
"""Milliseconds between two looks at processes that were killed and have not ended."""

_PATIENCE = 2.0
"""Seconds in which a keeper that was told to has to end its agent, before it is killed itself."""

_CALM = 3
"""Looks in a row that must find nothing: what starts and ends meanwhile can be missed by one."""


class Warden:
    """All agents of one worker. Invariant: an agent's end is told once nothing of it lives.

    Its children are keepers, and what keepers that were killed left: only agents that are not confined can
    do that, and theirs is whatever turns up here, so that it is killed and nobody else's is.
    """

    def __init__(self, channel: Channel, parent: int) -> None:
        self._channel = channel
        self._parent = parent
        self._heard = time.monotonic()
        """When something came from the worker last."""
        self._agents: dict[int, Kept] = {}
        self._keepers: dict[int, Kept | None] = {}
        """Whom those keep or kept that were not waited for, by their pids."""
        self._lost: list[Kept] = []
        self._calm = 0
        self._reports, writing = os.pipe()
        os.set_blocking(self._reports, False)
        self._idle = IdleKeepers(writing)

    def serve(self) -> None:
        """Do what the worker asks, until it is gone."""
        poll = select.poll()
        woken = _wakeup_fd()
        for fd in (self._channel.fileno(), woken, self._reports):
            poll.register(fd, select.POLLIN)
        with contextlib.suppress(AttributeError, OSError):
            poll.register(os.pidfd_open(self._parent), select.POLLIN)
        while os.getppid() == self._parent:
            ready = {fd for fd, _ in poll.poll(self._pause())}
            if woken in ready:
                os.read(woken, 4096)
            if self._channel.fileno() in ready:
                self._heard = time.monotonic()
                for message in self._channel.receive():
                    self._obey(message)
            self._end_lapsed()
            self._listen()
            if self._collect():
                self._calm = 0
            self._listen()  # what was waited for wrote before it ended
            self._bury()
            self._hurry()

    def leave(self) -> None:
        """Kill everything that descends from this process; gives up on what another user owns."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:  # Nothing descends from a process without children that adopts.
                self._sweep()
                return
            kill_tree(children(os.getpid()) if LINUX else list(self._keepers))
            time.sleep(_PAUSE / 1000)

    def _sweep(self) -> None:
        """Where nothing can be adopted, the markers lead to what is left."""
        if not LINUX:
            from shiftwork.sandbox.sweep import kill_all  # noqa: PLC0415 - only here is psutil needed

            for agent in self._agents.values():
                kill_all(agent.marker, spare={os.getpid()})

    def _pause(self) -> int | None:
        if self._lost:
            return _PAUSE
        if any(agent.deadline is not None for agent in self._agents.values()):
            return 100
        left = min((agent.lease for agent in self._agents.values()), default=None)
        return None if left is None else max(1, math.ceil(1000 * (self._heard + left - time.monotonic())))

    def _obey(self, message: Message) -> None:
        number = message["id"]
        if message["do"] == "ping":
            self._channel.send({"id": number})
        elif message["do"] == "start":
            self._start(message)
        elif number in self._agents and message["do"] == "signal":
            for pid in self._members(self._agents[number]):
                _signal(pid, message["signal"])
        elif number in self._agents:
            self._end(self._agents[number])

    def _start(self, message: Message) -> None:
        fds = [self._channel.fds.popleft() for _ in range(message["fds"])]
        agent = Kept(message["id"], message["marker"], message["lease"])
        self._agents[agent.number] = agent
        try:
            agent.keeper = self._idle.hand_over(message, fds)
        except OSError as error:
            with contextlib.suppress(OSError):  # nobody reads any more
                os.write(fds[1], f"no process can be started: {error.strerror}\n".encode())
            self._finish(Report(agent.number, 0, 126))
        else:
            self._keepers[agent.keeper.pid] = agent
        if message["lock"] and agent.keeper is not None:
            agent.lock = fds.pop()
        for fd in fds:
            os.close(fd)

    def _end(self, agent: Kept) -> None:
        if agent.keeper is not None:
            _signal(agent.keeper.pid, signal.SIGTERM)
            _signal(agent.keeper.pid, signal.SIGCONT)
            agent.deadline = agent.deadline or time.monotonic() + _PATIENCE

    def _end_lapsed(self) -> None:
        """End those whose worker gives no sign of life: it, or its event loop, may have been stopped."""
        silence = time.monotonic() - self._heard
        for agent in self._agents.values():
            if silence < agent.lease or agent.keeper is None or agent.deadline is not None:
                continue
            if select.select([self._channel], [], [], 0)[0]:
                return  # It spoke while it was we who were stopped.
            agent.lapsed = True
            self._end(agent)

    def _hurry(self) -> None:
        """Kill the keepers that do not end what they should: something may have stopped them."""
        now = time.monotonic()
        for agent in self._agents.values():
            if agent.keeper is not None and agent.deadline is not None and agent.deadline < now:
                _signal(agent.keeper.pid, signal.SIGKILL)

    def _listen(self) -> None:
        for report in read_reports(self._reports):
            agent = self._agents.get(report.number)
            if agent is None:
                continue
            if report.pid:
                agent.started, agent.cpu_before = True, report.cpu_seconds
                root = agent.keeper.pid if agent.keeper is not None else None
                started = {"pid": report.pid, "root": root, "before": agent.cpu_before}
                self._channel.send({"id": report.number, **started})
            else:
                self._finish(report)

    def _collect(self) -> bool:
        """Wait for all that ended, and have what was stopped go on; whether there was anything."""
        found = False
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return found
            if pid == 0:
                return found
            found = True
            if os.WIFSTOPPED(status):
                _signal(pid, signal.SIGCONT)
                continue
            agent = self._keepers.pop(pid, None)
            if agent is not None and agent.keeper is not None:
                agent.keeper.channel.close()
                agent.keeper = None
                agent.cpu_seconds = used.ru_utime + used.ru_stime  # less `cpu_before`, once that is told
                self._lost.append(agent)

    def _bury(self) -> None:
        """Kill what keepers left that did not come to report an end, and report it when nothing is left."""
        self._lost = [agent for agent in self._lost if agent.number in self._agents]
        if not self._lost:
            return
        left = [pid for pid in children(os.getpid()) if pid not in self._keepers] if LINUX else []
        if left:
            kill_tree(left)
        self._calm = 0 if left else self._calm + 1
        if self._calm >= _CALM:
            for agent in self._lost:
                used = max(0.0, agent.cpu_seconds - agent.cpu_before)
                self._finish(Report(agent.number, 0, -int(signal.SIGKILL), used))
            self._calm = 0

    def _finish(self, report: Report) -> None:
        agent = self._agents.pop(report.number)
        agent.close()
        self._give_back(agent)
        if not agent.started:
            self._channel.send({"id": report.number, "pid": None})
        end = {"code": report.code, "cpu": report.cpu_seconds, "peak": report.peak_memory}
        lapsed = agent.lapsed and report.code == -signal.SIGKILL
        self._channel.send({"id": report.number, **end, "lapsed": lapsed})

    def _give_back(self, agent: Kept) -> None:
        keeper, agent.keeper = agent.keeper, None
        if keeper is not None:
            self._keepers[keeper.pid] = None
            self._idle.take(keeper, again=agent.deadline is None)  # else that order may still reach it

    def _members(self, agent: Kept) -> list[int]:
        """Everything of this agent that lives."""
        if LINUX:
            return with_descendants(children(agent.keeper.pid)) if agent.keeper is not None else []
        from shiftwork.sandbox.sweep import processes_of  # noqa: PLC0415 - only here is psutil needed

        return [process.pid for process in processes_of(agent.marker, spare={os.getpid()})]


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


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
        be_subreaper()
        # An agent may have stopped us. When the worker dies, we are to go on, so that we notice.
        signal_at_parents_end(signal.SIGCONT)
    gc.disable()  # A collection would touch, and so copy, what keepers share with us.
    gc.freeze()
    with socket.socket(fileno=fd) as connection:
        warden = Warden(Channel(connection), parent)
        # A broken connection is the worker's end too; any other error must not set the agents free either.
        try:
            with contextlib.suppress(EOFError, ConnectionError):
                warden.serve()
        finally:
            warden.leave()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
