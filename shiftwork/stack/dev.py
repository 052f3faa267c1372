"""`shiftwork dev`: PostgreSQL, Temporal and a worker, started together, kept up, stopped in order."""

import asyncio
import fcntl
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from shiftwork.codec.choose import choose_codec
from shiftwork.codec.gate import Gate
from shiftwork.codec.server import PATH
from shiftwork.codec.sources import encodes, key_source
from shiftwork.errors import ShiftworkError, StackError
from shiftwork.settings import Settings
from shiftwork.stack.child import Command
from shiftwork.stack.file import StackFile, remove_stack, temporal_is_external, write_stack
from shiftwork.stack.leftovers import end_recorded, record
from shiftwork.stack.postgres import EmbeddedPostgres
from shiftwork.stack.private import private_folder, state_folder
from shiftwork.stack.server import Program, Supervised
from shiftwork.stack.sockets import LOOPBACK, free_ports
from shiftwork.stack.temporal_server import EmbeddedTemporal
from shiftwork.temporal import search_attribute_types

_log = logging.getLogger(__name__)

_KEYS_SECONDS = 0.5
"""How often the codec's keys are looked at: they may be rotated while the stack runs."""

_FIRST_DELAY = 0.1
_LONGEST_DELAY = 10.0
_STEADY_SECONDS = 30.0
"""Who ran this long is started again at once; who did not waits twice as long each time."""


class DevStack:
    """The embedded stack of one state folder, as an async context that yields its `StackFile`.

    Servers that the settings or the environment name elsewhere are not started. Each program is kept up: one
    that ends is started again, on the same ports and data.
    """

    def __init__(
        self,
        settings: Settings,
        programs: Sequence[Command] = (),
        *,
        environ: Mapping[str, str] | None = None,
        api_url: str | None = None,
    ) -> None:
        """Prepare a stack.

        Args:
            settings: which state folder, ports and namespace.
            programs: what to run beside the servers once they are ready; stopped before them.
            environ: where Temporal's environment configuration is looked for; None means our own.
            api_url: where one of the programs offers the REST interface.
        """
        self._api_url = api_url
        self._settings = settings
        self._environ = environ
        self._postgres = (
            None
            if settings.database_url
            else EmbeddedPostgres(settings.state / "postgres", port=settings.postgres_port)
        )
        self._temporal = (
            None
            if temporal_is_external(environ)
            else EmbeddedTemporal(
                settings.state / "temporal",
                namespace=settings.namespace,
                search_attributes=search_attribute_types(),
                port=settings.temporal_port,
                codec_path=PATH if key_source(settings, environ) else None,
            )
        )
        self._programs = [Program(command) for command in programs]
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> StackFile:
        """Start everything.

        Raises:
            InvalidInput: the state folder is another user's, or others may write to it.
            StackError: another one runs in this state folder, or a server can't be started.
        """
        async with AsyncExitStack() as started:
            state_folder(self._settings.state)
            started.enter_context(_exclusive(self._settings.state))
            await asyncio.to_thread(end_recorded, self._children_file)
            servers: list[Supervised] = [each for each in (self._postgres, self._temporal) if each]
            await self._start(started, servers)
            stack = self._describe(await self._open_gate(started))
            write_stack(self._settings, stack)
            started.callback(remove_stack, self._settings)
            started.push_async_callback(_cancel, [asyncio.create_task(self._follow_keys(stack))])
            await self._start(started, self._programs)
            self._exit = started.pop_all()
        return stack

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything: programs first, then the servers."""
        await self._exit.aclose()

    @property
    def _children_file(self) -> Path:
        return self._settings.state / "children.json"

    @property
    def _supervised(self) -> list[Supervised]:
        return [each for each in (self._postgres, self._temporal, *self._programs) if each]

    async def _start(self, started: AsyncExitStack, group: Sequence[Supervised]) -> None:
        """Start a group at once, keep it up, and see to it that it is stopped."""
        started.push_async_callback(self._stop, group)
        try:
            async with asyncio.TaskGroup() as tasks:
                for each in group:
                    tasks.create_task(each.start())
        except* ShiftworkError as errors:
            raise errors.exceptions[0] from None
        self._record()
        keepers = [asyncio.create_task(self._keep_up(each)) for each in group]
        started.push_async_callback(_cancel, keepers)

    async def _stop(self, group: Sequence[Supervised]) -> None:
        await asyncio.gather(*(each.stop() for each in group))
        self._record()

    async def _keep_up(self, each: Supervised) -> None:
        """Start it again whenever it ends; runs until cancelled."""
        delay = _FIRST_DELAY
        while True:
            since = time.monotonic()
            status = await each.wait()
            if time.monotonic() - since > _STEADY_SECONDS:
                delay = _FIRST_DELAY
            _log.warning("%s ended with status %d; it is started again", each.name, status)
            while True:
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LONGEST_DELAY)
                try:
                    await each.start()
                except (StackError, OSError) as error:
                    _log.warning("%s", error)
                else:
                    break
            self._record()

    def _record(self) -> None:
        record(self._children_file, [each.pid for each in self._supervised if each.pid is not None])

    async def _open_gate(self, started: AsyncExitStack) -> Gate | None:
        """What people and Temporal's tools look through; None if there is nothing to see."""
        codec = choose_codec(self._settings, self._environ)
        ui = self._temporal.ui if self._temporal else None
        if codec is None and ui is None:
            return None
        return await started.enter_async_context(Gate(codec, ui, port=self._settings.ui_port))

    def _key_ids(self) -> tuple[str, ...]:
        keys = key_source(self._settings, self._environ)
        return keys.ring().ids if keys is not None and encodes(self._settings, self._environ) else ()

    async def _follow_keys(self, stack: StackFile) -> None:
        """Say so when the keys were rotated; runs until cancelled."""
        while stack.codec:
            await asyncio.sleep(_KEYS_SECONDS)
            try:
                ids = await asyncio.to_thread(self._key_ids)
            except ShiftworkError:
                continue  # whoever needs them says so
            if ids != stack.codec_key_ids:
                stack = replace(stack, codec_key_ids=ids)
                write_stack(self._settings, stack)

    def _describe(self, gate: Gate | None) -> StackFile:
        postgres, temporal = self._postgres, self._temporal
        return StackFile(
            pid=os.getpid(),
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            namespace=self._settings.namespace,
            database_url=postgres.url() if postgres else str(self._settings.database_url),
            postgres_socket=str(postgres.socket) if postgres else None,
            temporal_address=temporal.address if temporal else None,
            temporal_http_address=temporal.http_address if temporal else None,
            temporal_http_host=temporal.http_host if temporal else None,
            temporal_ui=gate.ui_link if gate else None,
            api_url=self._api_url,
            codec_endpoint=gate.codec_endpoint if gate else None,
            codec_auth=gate.access.authorization if gate else None,
            codec=encodes(self._settings, self._environ),
            codec_key_ids=self._key_ids(),
        )


async def run_dev(
    settings: Settings,
    worker_argv: Sequence[str],
    on_ready: Callable[[StackFile], None],
    *,
    api_argv: Sequence[str] = (),
) -> None:
    """Run the stack and a worker until INT, TERM or HUP; then stop it all in order.

    Args:
        settings: see `DevStack`.
        worker_argv: the worker's program and arguments; it finds the stack by its environment. Empty: none.
        on_ready: called once, when the servers answer and the worker is started.
        api_argv: the program of the REST interface, which is given `--port`. Empty: none.

    Raises:
        StackError: the stack can't be started.
    """
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for sign in signals:
        loop.add_signal_handler(sign, asked.set)
    running = asyncio.create_task(_run(settings, worker_argv, api_argv, on_ready))
    waiting = asyncio.create_task(asked.wait())
    try:
        await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _cancel([waiting])
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        for sign in signals:
            loop.remove_signal_handler(sign)


async def _run(
    settings: Settings,
    worker_argv: Sequence[str],
    api_argv: Sequence[str],
    on_ready: Callable[[StackFile], None],
) -> None:
    logs = private_folder(state_folder(settings.state) / "logs")
    env = {**os.environ, **_for_children(settings)}
    worker = Command(
        name="worker",
        argv=worker_argv,
        log=logs / "worker.log",
        env=env,
        grace=settings.timings.graceful_shutdown + 5,
    )
    port = settings.api_port or free_ports(1)[0]
    api = Command(name="REST interface", argv=(*api_argv, "--port", str(port)), log=logs / "api.log", env=env)
    programs = [each for each, argv in ((worker, worker_argv), (api, api_argv)) if argv]
    url = f"http://{LOOPBACK}:{port}" if api_argv else None
    async with DevStack(settings, programs, api_url=url) as stack:
        on_ready(stack)
        await asyncio.Event().wait()


def _for_children(settings: Settings) -> dict[str, str]:
    """The settings that say where the stack is, as a child reads them from its environment."""
    found = {"SHIFTWORK_STATE": str(settings.state), "SHIFTWORK_NAMESPACE": settings.namespace}
    if settings.database_url:
        found["SHIFTWORK_DATABASE_URL"] = settings.database_url
    if settings.codec is not None:
        found["SHIFTWORK_CODEC"] = "on" if settings.codec else "off"
    if settings.codec_keys:
        found["SHIFTWORK_CODEC_KEYS"] = settings.codec_keys
    return found


async def _cancel(tasks: Sequence[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):  # a cancelled task's CancelledError is none
            raise result


@contextmanager
def _exclusive(state: Path) -> Iterator[None]:
    """Hold the state folder's lock, which the kernel gives back however its holder ends."""
    handle = os.open(state / "dev.lock", os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "a+") as lock:
        os.fchmod(handle, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise StackError(
                f"A stack already runs in {state} (process {holder}): use that one, stop it first, "
                "or name another folder with SHIFTWORK_STATE."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
