"""The lease on a session, whose end is that of the agent: a real one, with leases in a real database."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from process_support import living, shell, token

from activities.lease import LeaseKeeper
from activities.stop import Stop
from shiftwork.contracts.session import InterruptionReason, Role
from shiftwork.errors import LeaseLost
from shiftwork.runner.supervisor import run
from shiftwork.sandbox.choose import cheap_sandbox
from shiftwork.settings import Settings
from shiftwork.store.migrate import migrate
from shiftwork.store.store import Store

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
LEASE = 3.0


class Lab:
    """A session with an agent that would never end by itself."""

    def __init__(self, store, timings, folder) -> None:
        self.store, self.folder, self.word, self.stop = store, folder, token(), Stop()
        self.services = SimpleNamespace(store=store, settings=SimpleNamespace(timings=timings))

    async def begin(self) -> None:
        async with self.store.transaction() as tx:
            project = await tx.projects.create("lease")
            self.session = await tx.sessions.begin(project.id, 1, None, Role.SESSION, datetime.now(UTC))
        self.attempt = await self.take_over(LEASE)

    async def take_over(self, seconds: float):
        async with self.store.transaction() as tx:
            return await tx.attempts.begin(self.session.id, "host", seconds)

    async def work(self) -> None:
        """Run the agent until the lease ends it."""
        async with LeaseKeeper(self.services, self.session.id, self.attempt.token, self.stop) as lease:
            spec = shell(f"setsid sleep {self.word} & sleep {self.word}", self.folder, timeout=100)
            result = await run(spec, sandbox=cheap_sandbox(), stop=self.stop)
            assert result.stopped
            with pytest.raises(LeaseLost):
                lease.check()


@pytest.fixture
async def lab(database_url, tmp_path):
    await migrate(database_url)
    settings = Settings.from_environment({"SHIFTWORK_STATE": str(tmp_path)})
    async with Store(database_url) as store:
        lab = Lab(store, replace(settings.timings, lease=LEASE, lease_renewal=0.3), tmp_path)
        await lab.begin()
        yield lab
        store.move(database_url)


async def taken_over(lab: Lab) -> None:
    """Another attempt holds the session."""
    await lab.take_over(30)


async def database_away(lab: Lab) -> None:
    """Nobody can say who holds it."""
    lab.store.move(NOWHERE)
    await lab.store.close()


async def event_loop_hangs(lab: Lab) -> None:
    """Nothing here runs for longer than the lease."""
    time.sleep(LEASE + 1)  # noqa: ASYNC251 - that is what is tried


@pytest.mark.parametrize("happens", [taken_over, database_away, event_loop_hangs])
async def test_an_agent_ends_whose_session_is_not_held_any_more(lab, happens):
    """Otherwise two agents would work for the same session, on two hosts at the same time."""
    working = asyncio.create_task(lab.work())
    await asyncio.sleep(2 * LEASE)
    assert living(lab.word)  # the lease was renewed until now
    await happens(lab)
    await asyncio.wait_for(working, 100)
    assert lab.stop.reason is InterruptionReason.INFRASTRUCTURE
    assert living(lab.word) == []
