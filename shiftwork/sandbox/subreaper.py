"""The cheap sandbox: one warden process for all agents of a worker, which starts, adopts and ends them."""

import asyncio
import os
import signal
import socket
import weakref

from shiftwork.sandbox.base import FEEDS, Ended, Launch
from shiftwork.sandbox.proc import LINUX
from shiftwork.sandbox.sweep import kill_all
from shiftwork.sandbox.warden_process import await_keeper, end_warden, start_warden
from shiftwork.sandbox.wire import Channel, Message

_LOST = -int(signal.SIGKILL)
_REMIND = 1.0
"""Seconds after which a warden that owes us an answer is reminded, and woken if something stopped it."""

_DEAF, _SILENCE, _BIRTH = 5.0, 10.0, 60.0
"""Seconds without reading what we send, without any answer, and until the first one, after which it counts as
lost. Only seconds in which we ran count: where the whole machine stood still, it could not answer either."""

_LOOK = 0.1
"""Seconds between two looks where there is no event loop."""


class Subreaper:
    """A warden process keeps the descendants of every agent together; it starts with the first agent.

    Weaker than a namespace: an agent can see, and as the same user signal, processes that are not its own.
    A killed warden is noticed, and its keepers end what it held; a stopped one is made to go on, also
    when its worker dies. Only what stops it again and again, until its worker is killed, lives on.
    """

    level = "subreaper" if LINUX else "process-group"
    moves_binds = False
    own_network = False

    def __init__(self) -> None:
        self._wardens: list[Warden] = []

    def works(self) -> bool:
        """Always."""
        return True

    def start(self, launch: Launch) -> "HeldByWarden":
        """See `Sandbox.start`; what can't be started ends with status 126 or 127 and a line on its stderr."""
        try:
            return self._warden().start(launch)
        except ConnectionError:  # It was killed, and we had not noticed: it started nothing.
            return self._warden().start(launch)

    def warden_pid(self) -> int | None:
        """The process that holds the agents of the running event loop, if there is one."""
        loop = asyncio.get_running_loop()
        return next((warden.pid for warden in self._wardens if warden.serves(loop)), None)

    def _warden(self) -> "Warden":
        """The one of the running event loop; one whose loop was closed changes over."""
        loop = asyncio.get_running_loop()
        self._wardens = [warden for warden in self._wardens if warden.alive]
        for warden in self._wardens:
            if warden.serves(loop) or warden.change_over(loop):
                return warden
        self._wardens.append(Warden(loop))
        return self._wardens[-1]


class HeldByWarden:
    """See `Held`."""

    own_processes = 0
    cpu_before = 0.0

    def __init__(self, warden: "Warden", number: int, marker: str, lease: float) -> None:
        loop = asyncio.get_running_loop()
        self.pid: int | None = None
        self.root: int | None = None
        self.started: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[Ended] = loop.create_future()
        self.marker = marker
        self.lease = lease
        self._warden = warden
        self._number = number

    def send(self, number: signal.Signals) -> None:
        """See `Held.send`."""
        if not self.ended.done():
            self._warden.ask({"do": "signal", "id": self._number, "signal": int(number)})

    def end(self) -> None:
        """See `Held.end`."""
        if not self.ended.done():
            self._warden.ask({"do": "end", "id": self._number})

    async def end_from_outside(self) -> None:
        """See `Held.end_from_outside`. A warden that was stopped goes on, to tell of the end."""
        self._warden.wake_up()
        await asyncio.to_thread(kill_all, self.marker)

    def end_blocking(self) -> None:
        """See `Held.end_blocking`."""
        self.end()
        self._warden.wait_blocking(self)

    def close(self) -> None:
        """See `Held.close`."""
        self.end()

    def settle(self, ended: Ended) -> None:
        """It ended so."""
        for future, value in ((self.started, None), (self.ended, ended)):
            if not future.done() and not future.get_loop().is_closed():
                future.set_result(value)  # type: ignore[arg-type]  # one loop for two types of futures


class Warden:
    """Our end of a warden process, for one event loop at a time.

    The process ends with its connection; that ends with this object, at the latest with this process.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.pid = start_warden(theirs)
        self.alive = True
        self._owner = os.getpid()
        self._channel = Channel(ours, self._make_room)
        self._close = weakref.finalize(self, end_warden, self._channel, self.pid, self._owner)
        self._held: dict[int, HeldByWarden] = {}
        self._pending: set[int] = set()
        """Those of which something is to be told: their start, or their end."""
        self._patience = _BIRTH
        """Seconds that it may take to answer."""
        self._reminders = 0
        """How often it was reminded since it said something last, or was asked something after a rest."""
        self._reminder: asyncio.TimerHandle | None = None
        self._feeding: asyncio.TimerHandle | None = None
        self._next = 0
        self._sweeps: set[asyncio.Task[None]] = set()
        self._loop = loop
        loop.add_reader(self._channel.fileno(), self._drain)

    def serves(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether this loop is the one; none is in a process that was forked from ours."""
        return self._loop is loop and self._owner == os.getpid()

    def change_over(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Serve another loop from now on, if the one before is closed."""
        if self._owner != os.getpid() or not self._loop.is_closed():
            return False
        for number in list(self._held):
            self.ask({"do": "end", "id": number})
        self._loop = loop
        self._reminder = self._feeding = None
        loop.add_reader(self._channel.fileno(), self._drain)
        return True

    def start(self, launch: Launch) -> HeldByWarden:
        """Have a program started; raises `ConnectionError` if the warden is gone."""
        self._next += 1
        held = HeldByWarden(self, self._next, launch.marker, launch.lease)
        optional = [fd for fd in (launch.stdin, launch.lock) if fd is not None]
        fds = [launch.stdout, launch.stderr, *optional]
        request = {
            "do": "start",
            "id": self._next,
            "fds": len(fds),
            "stdin": launch.stdin is not None,
            "lock": launch.lock is not None,
            "argv": launch.argv,
            "cwd": str(launch.cwd),
            "env": dict(launch.env),
            "marker": launch.marker,
            "rlimits": launch.limits.rlimits(),
            "lease": launch.lease,
        }
        try:
            self._channel.send(request, fds)
        except ConnectionError:
            self._lost()
            raise
        self._held[self._next] = held
        self._expect(self._next)
        self._feed_later()
        return held

    def ask(self, message: Message) -> None:
        """Send a wish; a warden that is gone has nothing left to do."""
        if self.alive:
            if message["do"] == "end":
                self._expect(message["id"])
            try:
                self._channel.send(message)
            except ConnectionError:
                self._lost()

    def wake_up(self) -> None:
        """Have it go on if something stopped it."""
        if self.alive:
            os.kill(self.pid, signal.SIGCONT)

    def wait_blocking(self, held: HeldByWarden) -> None:
        """Wait for the end of one agent, without an event loop."""
        import select  # noqa: PLC0415 - for a closing event loop alone

        looks = round(self._patience / _LOOK)
        while self.alive and not held.ended.done() and looks > 0:
            if not select.select([self._channel], [], [], _LOOK)[0]:
                looks -= 1
            self.wake_up()
            self._drain()
        if not held.ended.done():
            kill_all(held.marker)
            held.settle(Ended(_LOST))

    def _drain(self) -> None:
        try:
            messages = self._channel.receive()
        except EOFError:
            self._lost()
            return
        if messages:
            self._reminders, self._patience = 0, _SILENCE
        for message in messages:
            self._take(message)

    def _make_room(self, waited: float) -> None:
        """It does not read what we send: it may have been stopped."""
        self._drain()
        if not self.alive or waited > _DEAF:
            raise ConnectionAbortedError("the warden does not listen")
        self.wake_up()

    def _expect(self, number: int) -> None:
        """Remind it until it tells of this one."""
        if self._reminder is None and not self._loop.is_closed():
            self._reminders = 0
            self._reminder = self._loop.call_later(_REMIND, self._remind)
        self._pending.add(number)

    def _feed_later(self) -> None:
        """Give it a sign of life often enough for the shortest lease."""
        if self._feeding is not None:
            self._feeding.cancel()
        if self._held and self.alive:
            lasts = min(held.lease for held in self._held.values())
            self._feeding = self._loop.call_later(lasts / FEEDS, self._feed)

    def _feed(self) -> None:
        self.ask({"do": "feed", "id": 0})
        self._feed_later()

    def _remind(self) -> None:
        self._reminder = None
        if not self.alive or not self._pending:
            return
        if self._reminders * _REMIND >= self._patience:
            self._lost()
            return
        self._reminders += 1
        self._reminder = self._loop.call_later(_REMIND, self._remind)
        self.wake_up()
        self.ask({"do": "ping", "id": 0})

    def _take(self, message: Message) -> None:
        number = message["id"]
        self._pending.discard(number)
        held = self._held.get(number)
        if held is None:
            return
        if "code" in message:
            del self._held[number]
            code, cpu, peak, lapsed = (message[name] for name in ("code", "cpu", "peak", "lapsed"))
            held.settle(Ended(code, cpu, peak, lapsed=lapsed))
        elif not held.started.done():
            held.pid, held.root = message["pid"], message.get("root")
            held.cpu_before = message.get("before", 0.0)
            held.started.set_result(None)

    def _lost(self) -> None:
        """The warden was killed, or is as good as dead: its keepers end what it held."""
        if not self.alive:
            return
        self.alive = False
        os.kill(self.pid, signal.SIGKILL)  # nobody has waited for it yet
        if not self._loop.is_closed():
            self._loop.remove_reader(self._channel.fileno())
        self._close()
        held, self._held = list(self._held.values()), {}
        for one in held:
            if not self._loop.is_closed():
                task = self._loop.create_task(_sweep(one))
                self._sweeps.add(task)
                task.add_done_callback(self._sweeps.discard)


async def _sweep(held: HeldByWarden) -> None:
    """What a keeper ends when its warden dies, and what bears the marks if that was killed, too."""
    try:
        if held.root is not None:
            await asyncio.to_thread(await_keeper, held.root)
        await asyncio.to_thread(kill_all, held.marker)
    except TimeoutError as error:
        if not held.ended.done():
            held.ended.set_exception(error)
    held.settle(Ended(_LOST))
