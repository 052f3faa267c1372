"""What an agent says while the database comes and goes, and how much of it is kept."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from activities.allowance import Allowance
from activities.ending import AttemptRows
from activities.stop import Stop
from activities.transcribe import Transcriber
from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.contracts.session import Role
from shiftwork.errors import StackError
from shiftwork.secrets import LazyRedactor
from shiftwork.settings import Settings
from shiftwork.store.migrate import migrate
from shiftwork.store.store import Store
from shiftwork.text import truncate

KEY = "s3cr3t-Value-0123456789"
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


class Lab:
    """A transcriber on a real database, which can be put out of reach."""

    def __init__(self, store, url, timings) -> None:
        self.store, self.url = store, url
        self.services = SimpleNamespace(
            store=store, settings=SimpleNamespace(timings=timings), redactor=LazyRedactor({"A_KEY": KEY})
        )

    async def begin(self):
        async with self.store.transaction() as tx:
            self.project = await tx.projects.create("chat")
            self.session = await tx.sessions.begin(self.project.id, 1, None, Role.SESSION, datetime.now(UTC))
            self.attempt = await tx.attempts.begin(self.session.id, "host", 30)
        agent = self.project.options.agent
        rows = AttemptRows(self.project, None, self.session, self.attempt, agent)
        return Transcriber(self.services, rows, Stop())

    async def away(self):
        self.store.move(NOWHERE)
        await self.store.close()

    def back(self):
        self.store.move(self.url)

    async def kept(self):
        async with self.store.transaction() as tx:
            rows = await tx.transcript.after(self.session.id, 1, -1, 100_000)
            return [row.payload.get("text") for row in rows], await tx.usage.of_session(self.session.id)


@pytest.fixture
async def lab(database_url, tmp_path):
    await migrate(database_url)
    timings = replace(Settings.from_environment({"SHIFTWORK_STATE": str(tmp_path)}).timings, lease=3.0)
    async with Store(database_url) as store:
        yield Lab(store, database_url, timings)


def text(number: int) -> AgentEvent:
    return AgentEvent(kind=AgentEventKind.TEXT, text=str(number))


async def test_nothing_is_lost_while_the_database_is_away_for_a_moment(lab):
    """Otherwise a short failure would throw away an agent's whole run, or what it said meanwhile."""
    transcriber = await lab.begin()
    async with transcriber:
        for number in range(8):
            if number == 2:
                await lab.away()
            await transcriber.take(text(number))
            await asyncio.sleep(0.1)
        asyncio.get_running_loop().call_later(0.7, lab.back)
        # Waits until it is written, so that no cost is ever lost.
        await transcriber.take(AgentEvent(kind=AgentEventKind.USAGE, input_tokens=5, conversation="c1"))
    said, used = await lab.kept()
    assert said == [*map(str, range(8)), None]
    assert used.input_tokens == 5


async def test_usage_of_nothing_takes_no_row(lab):
    """Otherwise an agent could fill the disk with figures that say nothing."""
    transcriber = await lab.begin()
    async with transcriber:
        for spent in (0, 7, 0):
            await transcriber.take(AgentEvent(kind=AgentEventKind.USAGE, output_tokens=spent))
    assert transcriber._usages == 1
    assert (await lab.kept())[1].output_tokens == 7


async def test_a_database_that_stays_away_ends_the_run(lab):
    """Otherwise an agent would work on although nothing of its work can count."""
    transcriber = await lab.begin()

    async def work() -> None:
        async with transcriber:
            await lab.away()
            for number in range(200):
                await transcriber.take(text(number))
                await asyncio.sleep(0.1)

    with pytest.raises(StackError):
        await work()
    lab.back()


def test_a_flood_is_kept_up_to_a_bound_and_the_rest_counted():
    """Otherwise one agent that prints without end would fill the disk of the database."""
    allowance = Allowance(rows=3, size=1000, reserve=2)
    assert [allowance.takes(AgentEventKind.TEXT, size) for size in (400, 400)] == [True, True]
    assert allowance.note == ""
    assert [allowance.takes(AgentEventKind.TEXT, size) for size in (400, 100)] == [False, False]
    assert [allowance.takes(AgentEventKind.FINISHED, 100) for _ in range(3)] == [True, True, False]
    assert allowance.note.endswith("3 further events (0.0 MB) are not in this transcript.")
    many = Allowance(rows=2, size=1000, reserve=0)
    assert [many.takes(AgentEventKind.TEXT, 1) for _ in range(4)] == [True, True, False, False]


async def test_the_transcript_says_what_it_lacks(lab):
    """Otherwise people would take a part of it for all of it."""
    transcriber = await lab.begin()
    transcriber._allowance = Allowance(rows=5, size=10_000, reserve=0)
    async with transcriber:
        for number in range(50):
            await transcriber.take(text(number))
    said, _ = await lab.kept()
    assert said[:5] == list("01234")
    assert said[5].startswith("The agent said more than is kept of an attempt: 45 further events")
    assert len(said) == 6
    assert transcriber.progress.events == 51


@pytest.mark.parametrize("before", range(15_990 - len(KEY), 16_001, 3))
async def test_a_secret_is_taken_out_before_a_text_is_cut(lab, before):
    """Otherwise most of a key would be kept where a long text ends."""
    transcriber = await lab.begin()
    said = f"{'x ' * (before // 2)}{KEY} {'y' * 100}"
    async with transcriber:
        for whole in (said, truncate(said, before + 40)):
            await transcriber.take(AgentEvent(kind=AgentEventKind.TEXT, text=whole))
    texts, _ = await lab.kept()

    assert len(texts) == 2
    for kept in texts:
        assert KEY[:8] not in kept


async def test_a_key_that_is_said_letter_by_letter_is_not_kept(lab):
    """If it failed, whoever puts the rows of a streaming agent together would read its key."""
    transcriber = await lab.begin()
    async with transcriber:
        for letter in f"the key is {KEY}.":
            await transcriber.take(AgentEvent(kind=AgentEventKind.TEXT, text=letter))
        await transcriber.take(AgentEvent(kind=AgentEventKind.TOOL_USE, text="Bash", data={"command": "ls"}))
        await transcriber.take(AgentEvent(kind=AgentEventKind.FINISHED, ok=True))
    said, _ = await lab.kept()
    assert "".join(text or "" for text in said) == "the key is [redacted:A_KEY].Bash"
    assert said[-2:] == ["Bash", None]
