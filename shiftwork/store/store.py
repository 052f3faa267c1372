"""The store: a small pool of connections, and transactions that speak in nouns."""

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Generic, Protocol, Self, TypeVar

import asyncpg
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.sql.dml import UpdateBase

from shiftwork.errors import InvalidInput, StackError
from shiftwork.store.agents import Agents
from shiftwork.store.attempts import Attempts, Leases
from shiftwork.store.checkpoints import Checkpoints
from shiftwork.store.connect import connect
from shiftwork.store.conversations import Conversations
from shiftwork.store.decisions import Decisions
from shiftwork.store.dsn import asyncpg_dsn, place
from shiftwork.store.episodes import Episodes
from shiftwork.store.evaluations import Evaluations
from shiftwork.store.events import Events
from shiftwork.store.evidence import Evidence
from shiftwork.store.features import Features
from shiftwork.store.fingerprints import FingerprintRows
from shiftwork.store.handoffs import Handoffs
from shiftwork.store.lending import lent, try_before_use
from shiftwork.store.lockers import Lockers
from shiftwork.store.notices import Notices
from shiftwork.store.progress import Progress
from shiftwork.store.projects import Projects
from shiftwork.store.requests import Requests
from shiftwork.store.run_statements import OWN_SERVER, WRITES
from shiftwork.store.schedules import Schedules
from shiftwork.store.sessions import Sessions
from shiftwork.store.starts import ProjectStarts
from shiftwork.store.tasks import Tasks
from shiftwork.store.transcript import Transcript
from shiftwork.store.types import Redacts, clean_parameter, json_serializer
from shiftwork.store.usage import Usage
from shiftwork.text import one_line, truncate

# SQLSTATEs after which the same transaction, tried again, may succeed: connection lost (08), deadlock (40),
# idle in a transaction for too long (25P03), out of resources (53), server going down (57P).
_PASSING = ("08", "40", "25P03", "53", "57P")

# SQLSTATEs of values that the server never takes: they are none of their types (22), or too large (54).
_UNFIT = ("22", "54")

_FRESH_SECONDS = 1.0
"""How old what is known of secrets may be when something is written."""

_LOCKER = {"application_name": "shiftwork lock", "jit": "off"}
_LOCKERS = "lockers"

_WRITES = re.compile(r"\b(?:INSERT|UPDATE)\b", re.IGNORECASE)


OfNoun = TypeVar("OfNoun")


class Learns(Protocol):
    """Has the redactor of a store know more; see `shiftwork.management.recognising`."""

    def learn(self, connection: Connection, *, within: float = 0.0) -> None:
        """Look again, unless that was done within so many seconds."""


class _Own(Generic[OfNoun]):
    """A noun of a transaction, made when it is first asked for: most transactions need two of twenty."""

    def __init__(self, noun: Callable[[AsyncConnection], OfNoun]) -> None:
        self._noun = noun

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, transaction: "Transaction", owner: type) -> OfNoun:
        made = self._noun(transaction.connection)
        transaction.__dict__[self._name] = made  # found there from now on, before this is
        return made


class Transaction:
    """All nouns, on one connection, in one transaction.

    Two transactions that lock the same rows in different orders end one another. So: leases and sessions
    first, then features, then the project (`projects.save`, `events.append`).
    """

    projects = _Own(Projects)
    starts = _Own(ProjectStarts)
    features = _Own(Features)
    sessions = _Own(Sessions)
    attempts = _Own(Attempts)
    leases = _Own(Leases)
    conversations = _Own(Conversations)
    usage = _Own(Usage)
    events = _Own(Events)
    progress = _Own(Progress)
    decisions = _Own(Decisions)
    checkpoints = _Own(Checkpoints)
    evidence = _Own(Evidence)
    transcript = _Own(Transcript)
    requests = _Own(Requests)
    fingerprints = _Own(FingerprintRows)
    agents = _Own(Agents)
    tasks = _Own(Tasks)
    notices = _Own(Notices)
    schedules = _Own(Schedules)
    handoffs = _Own(Handoffs)
    evaluations = _Own(Evaluations)
    episodes = _Own(Episodes)

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection


class Store:
    """PostgreSQL at one address; of one event loop. `migrate` it before the first use.

    Args:
        database_url: any form of a PostgreSQL DSN.
        moved: tells where that database is by now, before each new connection; None: it stays there.
        pool_size: connections kept; as many again are opened under load.
        idle_limit: seconds a transaction may do nothing before the server ends it, so that a process that
            was stopped in the middle of one holds no lock against its successor: more than a machine stands
            still under load.
        redact: takes secrets out of every text and every JSON value on their way into the database.
        learns: has that know what is in the database itself, before anything is written.
        own_server: nobody but this stack's own programs can connect to it, and hear what is told there.
    """

    def __init__(
        self,
        database_url: str,
        *,
        pool_size: int = 4,
        idle_limit: float = 45.0,
        redact: Redacts | None = None,
        learns: Learns | None = None,
        moved: Callable[[], str] | None = None,
        own_server: bool = False,
    ) -> None:
        self.own_server = own_server
        self._place = place(database_url)
        self._dsn = asyncpg_dsn(database_url)
        self._moved = moved
        settings = {
            "application_name": "shiftwork",
            "idle_in_transaction_session_timeout": str(round(idle_limit * 1000)),
            "jit": "off",  # statements are small; compiling them takes longer than they do
        }
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=lambda: self._connect(settings),
            pool_size=pool_size,
            max_overflow=pool_size,
            json_serializer=json_serializer(redact),
            execution_options={OWN_SERVER: own_server},
        )
        try_before_use(self._engine)
        self._learns = learns
        if learns is not None:
            _learn_before_writing(self._engine, learns)
        if redact is not None:
            _redact_parameters(self._engine, redact)
        # Made last, because it hears of no listener that is added later.
        self._single = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self.lockers = Lockers(lambda: self._connect(_LOCKER))

    async def open(self) -> None:
        """Connect once; raises `StackError` if the server can't be reached, `InvalidInput` for a bad DSN."""
        with self._telling():
            async with lent(self._engine):
                pass

    async def close(self) -> None:
        """Close every connection; the store can be opened again."""
        await self.lockers.close()
        await self._engine.dispose()

    def move(self, database_url: str) -> None:
        """Connect to this address from now on, where the same database is by now."""
        self._place, self._dsn = place(database_url), asyncpg_dsn(database_url)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """A session for people's own statements: committed at the end of the block, rolled back if it raises.

        What goes through it is redacted as everything is.
        """
        info = {_LOCKERS: self.lockers}
        async with AsyncSession(self._engine, expire_on_commit=False, info=info) as session:
            yield session
            await session.commit()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """One transaction: committed at the end of the block, rolled back if it raises.

        Raises:
            StackError: the server went away or gave up this transaction; nothing of it happened, or, if it
                went away during the commit, all of it may have: repeat it.
            InvalidInput: the server does not take a value, and never will, or it holds a secret and must stay
                as it is; nothing happened.
        """
        async with self._begun() as connection:
            yield Transaction(connection)

    @asynccontextmanager
    async def statements(self) -> AsyncIterator[Transaction]:
        """Each statement by itself, committed with its answer: half the time for work that is one statement.

        Raises:
            StackError: the server went away; what was asked last may have happened: repeat it.
            InvalidInput: as of `transaction`.
        """
        with self._telling():
            async with lent(self._single) as connection:
                yield Transaction(connection)

    async def learn(self) -> None:
        """Have the redactor know all that it can, now: for what is refused before anything is written.

        Raises:
            StackError: the server went away.
        """
        if self._learns is not None:
            async with self._begun() as connection:
                await connection.run_sync(self._learns.learn)

    async def _connect(self, server_settings: dict[str, str]) -> asyncpg.Connection:
        if self._moved is not None:
            self.move(self._moved())
        return await connect(self._dsn, server_settings=server_settings)

    @asynccontextmanager
    async def _begun(self) -> AsyncIterator[AsyncConnection]:
        with self._telling():
            async with lent(self._engine) as connection, connection.begin():
                yield connection

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """What the server and the driver raise, as errors of ours."""
        try:
            yield
        except DBAPIError as error:
            if _is_unfit(error):
                why = truncate(one_line(str(error.orig)), 300)
                raise InvalidInput(f"PostgreSQL does not take what is to be stored: {why}.") from error
            if not _passes(error):
                raise
            raise StackError(f"PostgreSQL at {self._place} gave up a transaction: {_why(error)}.") from error
        except StatementError as error:
            if isinstance(error.orig, InvalidInput):
                raise error.orig from None
            raise
        except PoolTimeout as error:
            raise StackError(f"All connections to PostgreSQL at {self._place} are in use.") from error


def _learn_before_writing(engine: AsyncEngine, learns: Learns) -> None:
    """On the same connection, and before values become JSON, out of which nothing can be taken any more."""

    def before(*call: Any) -> None:
        connection, statement, *_ = call
        if isinstance(statement, UpdateBase) or statement.get_execution_options().get(WRITES):
            learns.learn(connection, within=_FRESH_SECONDS)

    def before_plain(*call: Any) -> None:
        connection, _cursor, statement, *_ = call
        if _WRITES.search(statement):
            learns.learn(connection, within=_FRESH_SECONDS)

    event.listen(engine.sync_engine, "before_execute", before)
    event.listen(engine.sync_engine, "before_cursor_execute", before_plain)


def lockers_of(session: AsyncSession | Store) -> Lockers:
    """Where locks of the session's database live; raises `InvalidInput` for one that no store made."""
    found = (
        session.lockers
        if isinstance(session, Store)
        else session.info.get(_LOCKERS)
        if isinstance(session, AsyncSession)
        else None
    )
    if not isinstance(found, Lockers):
        raise InvalidInput("A lock needs a session that `get_session()` or a store made, or a store.")
    return found


def _redact_parameters(engine: AsyncEngine, redactor: Redacts) -> None:
    """Nothing else reaches every table, and every one that is added later."""

    def clean_row(row: Any) -> Any:
        if isinstance(row, Mapping):
            return {name: clean_parameter(value, redactor) for name, value in row.items()}
        return tuple(clean_parameter(value, redactor) for value in row)

    def before(*call: Any) -> tuple[str, Any]:
        _connection, _cursor, statement, parameters, _context, many = call
        if not _WRITES.search(statement):
            return statement, parameters
        return statement, [clean_row(row) for row in parameters] if many else clean_row(parameters)

    event.listen(engine.sync_engine, "before_cursor_execute", before, retval=True)


def _passes(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None) or ""
    return error.connection_invalidated or state.startswith(_PASSING)


def _why(error: DBAPIError) -> str:
    if isinstance(getattr(error.orig, "__cause__", None), asyncpg.InternalClientError):
        # The driver was asked while it was being told of the end; it tells of its own states.
        return "the server closed the connection"
    return str(error.orig)


def _is_unfit(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None) or ""
    # What can't even be sent has no state.
    return state.startswith(_UNFIT) or isinstance(getattr(error.orig, "__cause__", None), asyncpg.DataError)
