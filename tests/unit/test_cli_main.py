"""What a command answers when something is wrong: one sentence, the right status, and nothing changed."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.exc import ProgrammingError

from client.__main__ import main
from client.api import Shiftwork
from client.cli.beginning import missing
from client.specification import read_specification
from shiftwork.agents.cassette import load_cassette
from shiftwork.contracts.feature import FeatureSpec
from shiftwork.contracts.project import AgentOptions
from shiftwork.settings import Settings, outer_state
from shiftwork.store.migrate import migrate
from shiftwork.store.store import Store


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A state folder in which no stack runs."""
    monkeypatch.setenv("SHIFTWORK_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("SHIFTWORK_DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
async def store(database_url, tmp_path, monkeypatch):
    """A database with tables, which the commands of this process find."""
    monkeypatch.setenv("SHIFTWORK_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("SHIFTWORK_DATABASE_URL", database_url)
    await migrate(database_url)
    async with Store(database_url) as store:
        yield store


async def call(*argv):
    """Run a command in this process, in a thread where it may have an event loop of its own."""
    return await asyncio.to_thread(main, argv)


def started(database_url, *argv, **environment):
    """A command in a process of its own."""
    env = {**os.environ, "SHIFTWORK_DATABASE_URL": database_url, **environment}
    return subprocess.Popen(
        [sys.executable, "-P", *argv], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.mark.parametrize("argv", [["status"], ["list"], ["watch"], ["pause", "p"], ["report"], ["logs"]])
def test_without_a_stack_the_sentence_says_how_to_get_one(argv, nowhere, capsys):
    """If it failed, the first thing a newcomer types would end in a traceback."""
    assert main(argv) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: No stack is running in ")
    assert "`shiftwork dev`" in err
    assert err.count("\n") == 1
    assert list(nowhere.iterdir()) == []


def test_the_stack_of_an_outer_folder_is_found(tmp_path):
    """If it failed, every command typed in a subfolder would say that no stack is running."""
    inner = tmp_path / "product" / "src"
    inner.mkdir(parents=True)
    assert outer_state(inner, {}) is None
    (tmp_path / ".shiftwork").mkdir()
    assert outer_state(inner, {}) == tmp_path / ".shiftwork"
    assert outer_state(tmp_path, {}) is None
    assert outer_state(inner, {"SHIFTWORK_STATE": "elsewhere"}) is None


@pytest.fixture
def inside(tmp_path, monkeypatch):
    """A folder below one that has a state folder; this process is there."""
    monkeypatch.delenv("SHIFTWORK_STATE", raising=False)
    monkeypatch.delenv("SHIFTWORK_DATABASE_URL", raising=False)
    (tmp_path / ".shiftwork").mkdir()
    (tmp_path / "product").mkdir()
    with contextlib.chdir(tmp_path / "product"):
        yield tmp_path


def test_programs_look_for_the_stack_where_commands_do(inside):
    """If it failed, Python would not find the stack that the command line finds from the same folder."""
    assert Shiftwork().settings.state == Settings.from_environment({}).state == inside / ".shiftwork"
    here = inside / "product" / ".shiftwork"
    assert Settings.from_environment({}, above=False).state == here
    named = Settings.from_environment({"SHIFTWORK_STATE": "elsewhere"})
    assert named.state == inside / "product" / "elsewhere"


def test_wrong_files_are_named(nowhere, capsys):
    """If it failed, a mistyped path would be a traceback, or start a project without a goal."""
    for argv, expected in (
        (["start", "missing.md"], "specification 'missing.md' can't be read"),
        (["add-feature", "p", "missing.yml"], "'missing.yml' can't be read"),
        (["add-feature"], "Which feature?"),
        (["edit-feature", "f"], "Nothing to change"),
        (["edit-feature", "f", "--no-dependencies", "--depends-on", "x"], "contradicts"),
        (["abandon", "p", "a", "--reason", "b"], "given twice"),
    ):
        assert main(argv) == 1
        assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: [", "line 1: this is no YAML"),
        ("- a\n", "holds no feature"),
        ("name: a\npriority: 11\n", "priority:"),
        ("name: a\ncolour: red\n", "colour: is not known; known are: category, depends_on, description,"),
        ("description: a\n", "name: is missing"),
        ("name: ''\n", "name: is empty"),
        ("\xff", "is not UTF-8 (byte 0)"),
    ],
)
def test_a_wrong_feature_file_is_refused_by_field(text, expected, nowhere, capsys):
    """If it failed, a feature would be added that is not what its file says."""
    Path("f.yml").write_bytes(text.encode("latin-1"))
    assert main(["add-feature", "p", "f.yml"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: 'f.yml'")
    assert expected in err


def test_init_writes_what_works_and_overwrites_nothing(nowhere, capsys):
    """If it failed, the files of the first minute would be refused, or somebody's own would be gone."""
    folder = Path("new folder: #1")
    assert main(["init", str(folder)]) == 0
    assert f"'{folder}/spec.md'" in capsys.readouterr().out
    assert folder.name == read_specification(folder / "spec.md").name
    load_cassette(folder / "cassette.yml")
    (folder / "spec.md").write_text("mine")
    (folder / "cassette.yml").unlink()
    assert main(["init", str(folder)]) == 1
    assert "exists already" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["spec.md"]
    assert (folder / "spec.md").read_text() == "mine"


async def test_no_project_and_no_tables_are_sentences(database_url, tmp_path, monkeypatch, capsys):
    """If it failed, an empty database would be a traceback."""
    monkeypatch.setenv("SHIFTWORK_DATABASE_URL", database_url)
    for argv in (["status"], ["list"], ["features"]):
        assert await call(*argv) == 1
        assert "holds no Shiftwork tables yet" in capsys.readouterr().err
    await migrate(database_url)
    for argv in (["status"], ["features"], ["watch"], ["decisions"], ["logs"]):
        assert await call(*argv) == 1
        assert "There is no project yet" in capsys.readouterr().err
    assert await call("list") == 0


async def test_a_change_never_guesses_the_project(store, capsys):
    """If it failed, a command without a name would change another project than the one that was meant."""
    for command in ("pause", "resume", "abandon"):
        assert await call(command) == 1
        assert "No project is open" in capsys.readouterr().err
    async with store.transaction() as tx:
        await tx.projects.create("one")
        await tx.projects.create("two")
    assert await call("pause") == 1
    assert "Several projects are open ('one', 'two')" in capsys.readouterr().err
    assert await call("pause", "three") == 1
    assert "'three'" in capsys.readouterr().err


async def test_a_project_that_was_not_named_is_not_abandoned_unasked(store, capsys):
    """If it failed, a command without arguments would end somebody's only project for good."""
    async with store.transaction() as tx:
        project = await tx.projects.create("only")
    assert await call("abandon") == 1
    assert "'only' was not abandoned; repeat the command with --yes" in capsys.readouterr().err
    async with store.transaction() as tx:
        assert (await tx.projects.get(project.id)).event_sequence == 0


async def test_a_projects_name_is_no_guidance(store, capsys):
    """If it failed, whoever forgets the text would give all sessions the project's name as guidance."""
    async with store.transaction() as tx:
        project = await tx.projects.create("linkshelf")
    assert await call("steer", "linkshelf") == 2
    assert "TEXT is missing: 'linkshelf' is a project" in capsys.readouterr().err
    async with store.transaction() as tx:
        assert (await tx.projects.get(project.id)).event_sequence == 0


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ((), "give --cassette FILE, or another agent with --agent"),
        (("--agent", "claude", "--base-url", "not-a-url"), "base_url: 'not-a-url' is no address"),
    ],
)
def test_agents_that_could_not_begin_are_refused(argv, expected, nowhere, capsys):
    """If it failed, a project would start and pause, or the refusal would speak of no option."""
    Path("spec.md").write_text("# x\n")
    assert main(["start", "spec.md", *argv]) == 1
    assert expected in capsys.readouterr().err


def test_what_an_agent_lacks_is_told(nowhere):
    """If it failed, whoever has no key would learn of it from a project that was started and paused."""
    agent = AgentOptions(backend="claude", settings={"program": str(nowhere / "claude")})
    [problem] = missing(agent)
    assert problem.startswith("agent 'claude': The program ")
    assert "the worker's environment" in problem
    assert missing(AgentOptions(backend="of tomorrow")) == []


async def with_a_feature(store, database_url, spoiling: str) -> None:
    """A project with a feature, and what a statement makes of their tables."""
    async with store.transaction() as tx:
        project = await tx.projects.create("p")
        await tx.features.adopt(project.id, [FeatureSpec(name="f")], 1)
    connection = await asyncpg.connect(database_url)
    await connection.execute(spoiling)
    await connection.close()


async def test_what_nobody_expected_is_one_sentence_too(store, database_url, monkeypatch, capsys):
    """If it failed, a defect would throw a traceback at people, or hide it from those who look for it."""
    await with_a_feature(store, database_url, "ALTER TABLE features DROP COLUMN category")
    assert await call("features") == 1
    err = capsys.readouterr().err
    assert err.startswith("error: unexpected ProgrammingError: ")
    assert "SHIFTWORK_TRACEBACK=1" in err
    assert err.count("\n") == 1
    monkeypatch.setenv("SHIFTWORK_TRACEBACK", "1")
    with pytest.raises(ProgrammingError, match="category"):
        await call("features")


async def test_a_row_of_another_version_is_named(store, database_url, capsys):
    """If it failed, people would not learn which feature it is, nor what is wrong with it."""
    await with_a_feature(store, database_url, "UPDATE features SET category = 'of another version'")
    assert await call("features") == 1
    said = capsys.readouterr().err
    assert said.startswith("error: What is stored of feature 1 ('f') can't be read by this version")
    assert "(category: Input should be" in said
    assert said.count("\n") == 1


async def test_status_imports_only_the_driver(store, database_url):
    """If it failed, the command that people repeat most would be slow."""
    async with store.transaction() as tx:
        await tx.projects.create("p")
    heavy = ("temporalio", "pydantic", "sqlalchemy", "alembic", "rich", "yaml")
    code = (
        "import sys\nfrom client.__main__ import main\n"
        f"print(main(['status']), [m for m in {heavy} if m in sys.modules])"
    )
    out, _ = await asyncio.to_thread(started(database_url, "-c", code).communicate)
    assert out.splitlines()[-1] == b"0 []"
    assert out.startswith(b"p is initializing")


async def test_what_the_terminal_has_no_characters_for_is_escaped(store, database_url):
    """If it failed, a command would end in an error because of what an agent printed."""
    async with store.transaction() as tx:
        project = await tx.projects.create("p")
        await tx.events.append(project.id, "warning", data={"text": "a fox: 🦊"})
    process = started(database_url, "-m", "client", "logs", LC_ALL="C", PYTHONIOENCODING="ascii")
    out, errors = await asyncio.to_thread(process.communicate, timeout=100)
    assert (process.returncode, errors) == (0, b"")
    assert b"a fox: \\U0001f98a" in out


async def test_a_closed_pipe_is_no_error(store, database_url):
    """If it failed, `shiftwork logs | head` would end in a traceback."""
    async with store.transaction() as tx:
        project = await tx.projects.create("p")
        for number in range(300):
            await tx.events.append(project.id, "warning", data={"text": f"{number} " + "x" * 800})
    process = started(database_url, "-m", "client", "logs")
    await asyncio.to_thread(process.stdout.readline)
    process.stdout.close()
    assert await asyncio.to_thread(process.wait, 100) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


async def test_ctrl_c_ends_a_watch_quietly(store, database_url):
    """If it failed, leaving a watch would print a traceback, or look like success."""
    async with store.transaction() as tx:
        project = await tx.projects.create("p")
        await tx.events.append(project.id, "warning", data={"text": "look"})
    process = started(database_url, "-m", "client", "watch")
    assert b"warning: look" in await asyncio.to_thread(process.stdout.readline)
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.to_thread(process.communicate, timeout=100)
    assert (process.returncode, out, err) == (130, b"", b"")
