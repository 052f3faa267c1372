"""Copies of conversations: taken while an agent works, sealed, and brought to the host that goes on."""

import asyncio
import os
import threading
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import pytest

from activities.conversations import LARGEST, ConversationCopies, bring_copy, read_bounded
from activities.homes import note_attempt
from activities.orphans import WorkerRecord
from activities.predecessors import Predecessors, Resumption
from activities.services import Services
from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.agents.home import PrivateHome
from shiftwork.agents.langchain.backend import LangchainBackend
from shiftwork.agents.langchain.config import STATE_FILE
from shiftwork.agents.prompt import session_prompt
from shiftwork.agents.registry import find_backend
from shiftwork.codec.keys import Key, KeyRing
from shiftwork.codec.parts import open_parts
from shiftwork.codec.sealing import Seal
from shiftwork.codec.sources import GivenKeys
from shiftwork.contracts.feature import FeatureSpec
from shiftwork.contracts.session import Role
from shiftwork.errors import CodecError, LeaseLost
from shiftwork.gateway import Gateway
from shiftwork.sandbox.choose import cheap_sandbox
from shiftwork.secrets import LazyRedactor
from shiftwork.settings import Settings
from shiftwork.store.migrate import migrate
from shiftwork.store.store import Store

CANARY = b"the-canary-that-is-in-the-conversation"
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
SAVED = AgentEvent(kind=AgentEventKind.SAVED, data={"file": STATE_FILE})


def keys() -> GivenKeys:
    return GivenKeys(KeyRing((Key.generate(),), "a test"))


class Host:
    """A worker on a machine of its own: another state folder, the same database."""

    def __init__(self, name, folder, url, seal, called=None) -> None:
        self.url = url
        self.store = Store(url)
        settings = replace(Settings(state=folder / name), database_url=url)
        record = WorkerRecord(settings.state)
        self.services = Services(
            *(settings, self.store, cheap_sandbox(), {}, record, Gateway(), LazyRedactor({})),
            host=called or name,
            seal=seal,
        )

    async def attempt(self, session, conversation="c-1"):
        """Begin the session's next attempt, whose agent is in this conversation."""
        async with self.store.transaction() as tx:
            attempt = await tx.attempts.begin(session.id, self.services.host, 60)
            await tx.attempts.start(session.id, attempt.attempt, attempt.token, base="0" * 40)
            await tx.attempts.converse(session.id, attempt.attempt, attempt.token, conversation)
        return attempt

    def home(self, project):
        return self.services.folder(project.id).home(1)

    def say(self, project, content=CANARY):
        PrivateHome(self.home(project)).write(STATE_FILE, content)

    def copies(self, project, session, attempt):
        return ConversationCopies(self.services, session.id, attempt, self.home(project), STATE_FILE)

    async def kept(self, session):
        async with self.store.transaction() as tx:
            return await tx.conversations.find(session.id)

    async def resumption(self, project, session, backend):
        async with self.store.transaction() as tx:
            attempt = await tx.attempts.begin(session.id, self.services.host, 60)
        predecessors = Predecessors(self.services, project, session, attempt)
        await predecessors.end()
        return await predecessors.resumption(backend)


@pytest.fixture
async def make_host(database_url, tmp_path):
    """Makes hosts that share a database and, unless another is given, the codec's keys."""
    await migrate(database_url)
    hosts, shared = [], Seal(keys())

    def make(name, seal=shared, called=None):
        hosts.append(Host(name, tmp_path, database_url, seal, called))
        return hosts[-1]

    yield make
    for host in hosts:
        await host.store.close()


@pytest.fixture
async def host(make_host):
    return make_host("a")


@pytest.fixture
async def project(host):
    async with host.store.transaction() as tx:
        return await tx.projects.create("chat")


@pytest.fixture
async def session(host, project):
    async with host.store.transaction() as tx:
        return await tx.sessions.begin(project.id, 1, None, Role.SESSION, datetime.now(UTC))


async def copy_once(host, project, session, content=CANARY):
    attempt = await host.attempt(session)
    host.say(project, content)
    async with host.copies(project, session, attempt) as copies:
        copies.saved(SAVED)
    return attempt


# Taking copies --------------------------------------------------------------------------------------------


async def test_a_copy_is_encrypted(host, project, session):
    """If it failed, whatever an agent read would stand in the database for everybody who can read that."""
    attempt = await copy_once(host, project, session, CANARY * 1000)
    connection = await asyncpg.connect(host.url)
    row = await connection.fetchrow("TABLE conversations")
    await connection.close()
    assert (row["session_id"], row["attempt"], row["sequence"]) == (session.id, attempt.attempt, 1)
    assert row["bytes"] == len(CANARY) * 1000
    assert len(row["body"]) < 2_000
    assert CANARY not in row["body"]
    assert CANARY[:8] not in row["body"]
    place = f"conversation {session.id}"
    assert open_parts(host.services.seal, row["body"], place, LARGEST) == CANARY * 1000
    with pytest.raises(CodecError):
        open_parts(host.services.seal, row["body"], f"conversation {session.id + 1}", LARGEST)
    with pytest.raises(CodecError):
        open_parts(host.services.seal, row["body"], place, 1000)


async def test_only_the_latest_state_is_kept(host, project, session):
    """If it failed, the next attempt would go on from an older state, or the table would grow for ever."""
    attempt = await host.attempt(session)
    heard = []

    async def take(event):
        heard.append(event.kind)

    async with host.copies(project, session, attempt) as copies:
        hear = copies.hearing_before(take)
        for number in range(200):
            host.say(project, b"%d" % number)
            await hear(SAVED)
        await hear(AgentEvent(kind=AgentEventKind.TEXT, text="x"))
    row = await host.kept(session)
    assert open_parts(host.services.seal, row.body, f"conversation {session.id}", LARGEST) == b"199"
    assert heard == [AgentEventKind.TEXT]


async def test_an_attempt_that_is_superseded_writes_nothing(host, project, session):
    """If it failed, a worker that wakes up late would put an old conversation in the place of the new one."""
    late = await host.attempt(session)
    await copy_once(host, project, session, b"new")
    host.say(project, b"late")
    async with host.copies(project, session, late) as copies:
        copies.saved(SAVED)
    assert (await host.kept(session)).bytes == len(b"new")
    with pytest.raises(LeaseLost):
        async with host.store.transaction() as tx:
            await tx.conversations.keep(session.id, late.attempt, late.token, 99, b"late", size=4)


async def test_an_older_state_of_the_same_attempt_is_not_kept(host, session):
    """If it failed, two writes that overtake one another would leave the older state."""
    attempt = await host.attempt(session)
    for sequence, kept in ((2, True), (1, False), (2, False), (3, True)):
        async with host.store.transaction() as tx:
            done = await tx.conversations.keep(
                *(session.id, attempt.attempt, attempt.token, sequence, b"x"), size=1
            )
        assert done is kept


async def test_what_changed_is_added_to_the_state_before_alone(host, project, session):
    """If it failed, a part would follow another one than it was made for, and the copy be of no use."""
    attempt = await host.attempt(session)
    kept = []
    for sequence, follows in ((1, 0), (2, None), (4, 3), (3, 2), (4, 3)):
        async with host.store.transaction() as tx:
            who = session.id, attempt.attempt, attempt.token
            kept.append(
                await tx.conversations.keep(*who, sequence, b"%d" % sequence, size=1, follows=follows)
            )
    assert kept == [False, True, False, True, True]
    assert (await host.kept(session)).body == b"234"
    later = await host.attempt(session)
    with pytest.raises(LeaseLost):
        async with host.store.transaction() as tx:
            await tx.conversations.keep(*who, 5, b"5", size=1, follows=4)
    async with host.store.transaction() as tx:
        who = session.id, later.attempt, later.token
        assert not await tx.conversations.keep(*who, 5, b"5", size=1, follows=4)


async def test_a_superseded_attempt_asks_nothing_more(host, project, session):
    """If it failed, a worker that wakes up late would pay for answers that nobody uses."""
    attempt = await host.attempt(session)
    host.say(project)
    async with host.copies(project, session, attempt) as copies:
        assert await copies.before_question() is None
        await host.attempt(session)
        host.say(project, b"more")
        assert "another attempt" in await copies.before_question()


async def test_an_interrupted_sessions_copy_stays_for_the_next(host, project, session):
    """If it failed, the feature's next session would have to be where this one was, or copies pile up."""
    async with host.store.transaction() as tx:
        [feature] = await tx.features.adopt(project.id, [FeatureSpec(name="a", description="a")], 1)
        sessions = [
            await tx.sessions.begin(project.id, number, feature.id, Role.SESSION, datetime.now(UTC))
            for number in (2, 3, 4)
        ]
    for number, outcome, left in ((0, "interrupted", 1), (1, "interrupted", 1), (2, "passed", 0)):
        one = sessions[number]
        attempt = await host.attempt(one)
        async with host.store.transaction() as tx:
            await tx.conversations.keep(one.id, attempt.attempt, attempt.token, 1, b"x", size=1)
            await tx.sessions.end(project.id, one.number, outcome=outcome)
            assert [await tx.conversations.find(s.id) is not None for s in sessions].count(True) == left


async def test_nothing_stays_when_the_project_ends(host, project, session):
    """If it failed, what agents said would stay for ever with projects that were given up."""
    await copy_once(host, project, session)
    async with host.store.transaction() as tx:
        other = await tx.projects.create("other")
        await tx.conversations.forget_project(other.id)
    assert await host.kept(session) is not None
    async with host.store.transaction() as tx:
        await tx.conversations.forget_project(project.id)
    assert await host.kept(session) is None


async def test_nothing_stays_when_the_session_ends(host, project, session):
    """If it failed, conversations would be kept for ever, and nobody would know."""
    attempt = await copy_once(host, project, session)
    async with host.store.transaction() as tx:
        assert await tx.sessions.end(project.id, 1, outcome="passed")
        assert not await tx.sessions.end(project.id, 1, outcome="passed")
    assert await host.kept(session) is None
    async with host.store.transaction() as tx:
        assert not await tx.conversations.keep(session.id, attempt.attempt, attempt.token, 9, b"x", size=1)
    assert await host.kept(session) is None


async def test_without_keys_nothing_is_copied(make_host, host, project, session, tmp_path):
    """If it failed, a conversation would be stored in the clear where the codec is off."""
    for seal in (Seal(None), Seal(keys(), seals=False), Seal.of(Settings(state=tmp_path / "x", codec=False))):
        assert not seal.seals
        with pytest.raises(CodecError):
            seal.seal(b"x", "here")
        await copy_once(make_host("plain", seal), project, session)
        assert await host.kept(session) is None


async def test_the_settings_keys_seal(tmp_path):
    """If it failed, the worker would have no keys to copy conversations with."""
    settings = Settings(state=tmp_path, codec=True)
    seal = Seal.of(settings)
    assert Seal.of(settings).open(seal.seal(CANARY, "here"), "here", 1000) == CANARY


# What an agent may leave in the place of the file ---------------------------------------------------------


def link(path):
    path.parent.joinpath("other").write_bytes(CANARY)
    path.symlink_to(path.parent / "other")


def hard_link(path):
    path.parent.joinpath("other").write_bytes(CANARY)
    os.link(path.parent / "other", path)


def sparse(path):
    with path.open("wb") as file:
        file.truncate(1_000_000_000)


def folder_above(path):
    path.parent.rename(path.parent.with_name("elsewhere"))
    (path.parent.with_name("elsewhere") / path.name).write_bytes(CANARY)
    path.parent.symlink_to(path.parent.with_name("elsewhere"))


async def test_what_is_no_such_file_is_a_warning(host, project, session, caplog):
    """If it failed, an agent could have the worker read any file, wait for ever, or use up its memory."""
    attempt = await host.attempt(session)
    for leave in (link, hard_link, os.mkfifo, sparse, os.mkdir, folder_above, os.path.exists):
        home = host.home(project).with_name(leave.__name__)
        home.mkdir(parents=True)
        leave(home / STATE_FILE)
        caplog.clear()
        copies = ConversationCopies(host.services, session.id, attempt, home, STATE_FILE)
        async with asyncio.timeout(100), copies:
            for _ in range(3):
                copies.saved(SAVED)
                await asyncio.sleep(0.02)
        assert await host.kept(session) is None, leave.__name__
        assert [record.levelname for record in caplog.records] == ["WARNING"], leave.__name__


async def test_a_file_that_changes_all_the_time_is_read_within_bounds(tmp_path):
    """If it failed, a file that is swapped or grows while it is read would do what a large one can't."""
    home, path = PrivateHome(tmp_path), tmp_path / STATE_FILE
    done = threading.Event()

    def swap():
        while not done.is_set():
            path.unlink(missing_ok=True)
            path.symlink_to("/etc/passwd")
            path.unlink()
            os.mkfifo(path)
            path.unlink()
            path.write_bytes(b"x" * 500)
            with path.open("ab") as file:
                file.write(b"x" * 5_000)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        for _ in range(500):
            try:
                _, content = await asyncio.to_thread(read_bounded, home, STATE_FILE, 1_000)
            except OSError:
                continue
            assert content.strip(b"x") == b""
            assert len(content) <= 1_000
    finally:
        done.set()
        swapping.join()


async def test_which_file_is_copied_is_not_the_agents_to_say(host, project, session):
    """If it failed, an agent could name any file of the worker's."""
    attempt = await host.attempt(session)
    host.say(project)
    async with host.copies(project, session, attempt) as copies:
        for data in ({}, {"file": "../../../etc/passwd"}, {"file": ["x"]}):
            copies.saved(AgentEvent(kind=AgentEventKind.SAVED, data=data))
    assert (await host.kept(session)).bytes == len(CANARY)


async def test_a_database_that_is_away_for_a_moment_costs_no_copy(host, project, session):
    """If it failed, a restart of the server in the last step would cost the conversation."""
    attempt = await host.attempt(session)
    host.say(project)
    async with host.copies(project, session, attempt) as copies:
        host.store.move(NOWHERE)
        await host.store.close()
        copies.saved(SAVED)
        asking = asyncio.create_task(copies.before_question())
        await asyncio.sleep(0.3)
        assert not asking.done(), "a question that waits for its copy"
        host.store.move(host.url)
        assert await asking is None
        assert (await host.kept(session)).bytes == len(CANARY)


# Going on -------------------------------------------------------------------------------------------------


async def test_another_host_goes_on_with_the_conversation(make_host, host, project, session):
    """If it failed, the loss of a machine would cost everything that its agents had been told and paid."""
    await copy_once(host, project, session)
    other = make_host("b")
    found = await other.resumption(project, session, LangchainBackend())
    assert (found.conversation.id, found.conversation.resumed) == ("c-1", True)
    assert not found.intact
    assert (other.home(project) / STATE_FILE).read_bytes() == CANARY
    assert other.services.settings.state != host.services.settings.state


async def test_the_same_host_goes_on_with_its_own_file(host, project, session):
    """If it failed, a restart of the worker would go back to the state of the last copy."""
    await copy_once(host, project, session, b"old")
    host.say(project, b"newer than the copy")
    found = await host.resumption(project, session, LangchainBackend())
    assert found.intact
    assert (host.home(project) / STATE_FILE).read_bytes() == b"newer than the copy"


async def test_what_a_host_has_from_before_is_not_gone_on_with(make_host, host, project, session):
    """If it failed, a session that comes back to a host would forget what it did on another."""
    await copy_once(host, project, session, b"old")
    await copy_once(make_host("b"), project, session, b"newer")
    (host.home(project) / "left").write_text("by the first attempt")
    assert await host.resumption(project, session, LangchainBackend()) is not None
    assert [path.name for path in host.home(project).iterdir()] == [STATE_FILE]
    assert (host.home(project) / STATE_FILE).read_bytes() == b"newer"


async def test_without_a_usable_copy_a_new_conversation_begins(make_host, host, project, session, caplog):
    """If it failed, a host with other keys would be asked for what it can't read."""
    await copy_once(host, project, session)
    stranger = make_host("stranger", Seal(keys()))
    assert await stranger.resumption(project, session, LangchainBackend()) is None
    assert not stranger.home(project).exists()
    assert "so it begins anew" in caplog.text
    async with host.store.transaction() as tx:
        [event] = await tx.events.last(project.id, ("warning",))
    assert event.reference == "session:1"
    assert "which is not among those of a test" in event.data["text"]
    other = make_host("b")
    await other.attempt(session, conversation="c-2")
    assert await make_host("c").resumption(project, session, LangchainBackend()) is None


async def test_another_machine_of_the_same_name_does_not_have_the_files(make_host, host, project, session):
    """If it failed, an agent would be told that what it did is there, when its machine is lost."""
    await copy_once(host, project, session)
    twin = make_host("twin", called=host.services.host)
    found = await twin.resumption(project, session, LangchainBackend())
    assert (twin.home(project) / STATE_FILE).read_bytes() == CANARY
    assert not found.intact


async def test_a_machine_that_comes_back_under_another_name_has_the_files(make_host, host, project, session):
    """If it failed, a container that starts again would go back to an older state, and lose its files."""
    attempt = await copy_once(host, project, session, b"old")
    host.say(project, b"newer than the copy")
    note_attempt(host.home(project), session.number, attempt.attempt)
    again = make_host("a", called="another name")
    assert (await again.resumption(project, session, LangchainBackend())).intact
    assert (again.home(project) / STATE_FILE).read_bytes() == b"newer than the copy"


async def test_a_note_tells_which_state_is_the_newest(make_host, host, project, session):
    """If it failed, two machines of one name would go on from each other's older states."""
    first = await copy_once(host, project, session, b"old")
    note_attempt(host.home(project), session.number, first.attempt)
    await copy_once(make_host("twin", called=host.services.host), project, session, b"newer")
    assert await host.resumption(project, session, LangchainBackend()) is not None
    assert (host.home(project) / STATE_FILE).read_bytes() == b"newer"


async def test_an_attempt_that_was_lost_before_its_agent_started_changes_nothing(
    make_host, host, project, session
):
    """If it failed, a second crash while a session is taken over would cost all that was said in it."""
    backend = LangchainBackend()
    assert not isinstance(await host.resumption(project, session, backend), Resumption)
    await copy_once(host, project, session)
    for _ in range(2):
        other = make_host("b")
        found = await other.resumption(project, session, backend)
        assert (found.conversation.id, found.intact) == ("c-1", False)
    async with host.store.transaction() as tx:
        assert [row.conversation for row in await tx.attempts.list(session.id)] == ["", "c-1", "", ""]


async def test_other_backends_stay_on_their_host(make_host, host, project, session):
    """If it failed, a program would be asked for a conversation that is on another machine."""
    await copy_once(host, project, session)
    claude = find_backend("claude")
    assert (await host.resumption(project, session, claude)).intact
    await host.attempt(session)
    assert await make_host("b").resumption(project, session, claude) is None


async def test_a_home_that_can_not_be_made_is_a_warning(make_host, host, project, session):
    """If it failed, a file in the way would fail the session for ever."""
    attempt = await copy_once(host, project, session)
    other = make_host("b")
    home = other.home(project)
    home.parent.parent.mkdir(parents=True)
    home.parent.write_text("in the way")
    assert not await bring_copy(other.services, session, {attempt.attempt}, home, STATE_FILE)


def test_an_agent_is_told_that_its_files_are_lost(tmp_path):
    """If it failed, an agent that goes on elsewhere would believe in changes that are not there."""
    places = {"workspace": tmp_path, "brief": tmp_path, "outbox": tmp_path, "resumed": True}
    assert "as you left them" in session_prompt("x", **places)
    lost = session_prompt("x", **places, intact=False)
    assert "make those changes again" in lost
    assert "as you left them" not in lost
