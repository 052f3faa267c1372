"""The files and the shell that a LangChain agent works with."""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest
from deepagents.middleware.filesystem import FilesystemMiddleware
from langchain_core.messages import AIMessage
from langchain_tests.integration_tests import SandboxIntegrationTests
from langgraph.graph import MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from shiftwork.agents.langchain.program.workspace import Workspace


def workspace(folder, **options):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    given = {"environment": {"PATH": path}, "command_timeout": 20.0}
    return Workspace(Path(folder), **(given | options))


def told(files, tool, **arguments):
    """What a model is told when it calls this tool."""
    graph = StateGraph(MessagesState)
    graph.add_node("tools", ToolNode(FilesystemMiddleware(backend=files).tools))
    graph.set_entry_point("tools")
    call = {"name": tool, "args": arguments, "id": "1", "type": "tool_call"}
    return graph.compile().invoke({"messages": [AIMessage("", tool_calls=[call])]})["messages"][-1].text


# The suite's own fixture is what the warning is about.
@pytest.mark.filterwarnings("ignore:Class-scoped fixtures defined as instance methods")
class TestStandard(SandboxIntegrationTests):
    """LangChain's own suite for what it calls a sandbox."""

    _root = ""

    @property
    def sandbox_root_dir(self):
        return f"{type(self)._root}/tests/"

    @pytest.fixture(scope="class")
    @classmethod
    def sandbox(cls):
        folder = tempfile.mkdtemp(prefix="workspace-")
        cls._root = os.path.realpath(folder)
        yield workspace(folder)
        shutil.rmtree(folder)


def test_paths_stay_in_the_workspace(tmp_path):
    """Otherwise file tools could read and write anywhere, by path or by a link."""
    folder, brief, secret = tmp_path / "w", tmp_path / "brief", tmp_path / "secret"
    for path in (folder, brief):
        path.mkdir()
    secret.write_text("secret")
    (brief / "brief.md").write_text("the brief")
    (folder / "out").symlink_to(secret)
    (folder / "away").symlink_to(tmp_path)
    files = workspace(folder, readable=[brief])
    for path in (f"{folder}/out", f"{folder}/away/secret", "../secret", f"{folder}/../secret"):
        assert files.read(path).error, path
        assert files.write(path, "x").error, path
        assert files.edit(path, "secret", "x").error, path
    assert files.ls(f"{folder}/away").error
    assert files.download_files([f"{folder}/out"])[0].error == "permission_denied"
    assert files.upload_files([(f"{folder}/away/new", b"x")])[0].error == "permission_denied"
    assert "secret" not in str(files.grep("secret", str(folder)).matches)
    assert files.glob("*").matches == []
    assert files.glob("*", f"{folder}/away").error
    assert secret.read_text() == "secret"
    assert files.read(f"{brief}/brief.md").file_data["content"] == "the brief"
    assert "can only be read" in files.write(f"{brief}/brief.md", "x").error
    assert "can only be read" in files.delete(f"{brief}/brief.md").error


def test_a_path_from_the_root_is_one_of_the_workspace(tmp_path):
    """Otherwise a model that writes `/src/a.py`, as many do, would always fail."""
    files = workspace(tmp_path)
    assert files.write("/src/a.py", "1\n").error is None
    assert (tmp_path / "src" / "a.py").read_text() == "1\n"
    assert [found["path"] for found in files.glob("*.py").matches] == ["src/a.py"]
    assert files.read("/src/a.py").file_data["content"] == "1\n"


def test_a_model_finds_what_it_can_read(tmp_path):
    """Otherwise what `glob` says could not be given to `read_file`, or a folder would be taken for a file."""
    files = workspace(tmp_path)
    for path in ("/src/app/main.py", "/src/top.py", "/.github/ci.yml"):
        files.write(path, f"{path}\n")
    assert told(files, "glob", pattern="*.py") == "['src/app/main.py', 'src/top.py']"
    assert told(files, "glob", pattern="/src/*") == "['src/app/', 'src/top.py']"
    assert told(files, "glob", pattern="*.py", path=f"{tmp_path}/src/app") == "['main.py']"
    assert told(files, "glob", pattern="*.yml") == "['.github/ci.yml']"
    assert told(files, "glob", pattern="**/*.yml") == "No files found"
    assert "is no folder" in told(files, "glob", pattern="*", path="/nowhere")
    assert told(files, "read_file", file_path="src/app/main.py").endswith("@@\n/src/app/main.py")


def test_a_model_is_told_how_to_replace_a_file(tmp_path):
    """Otherwise it could overwrite by mistake what it never read, or try the same again and again."""
    files = workspace(tmp_path)
    files.write("/a.txt", "first\n")
    refused = told(files, "write_file", file_path="/a.txt", content="second\n")
    assert refused.startswith("Error: '/a.txt' already exists.")
    assert "edit_file" in refused
    assert "delete" in refused
    assert (tmp_path / "a.txt").read_text() == "first\n"
    told(files, "delete", file_path="/a.txt")
    assert "Updated" in told(files, "write_file", file_path="/a.txt", content="second\n")
    assert (tmp_path / "a.txt").read_text() == "second\n"
    (tmp_path / "empty.txt").touch()
    assert "Updated" in told(files, "write_file", file_path="/empty.txt", content="filled\n")
    assert "is a folder" in files.write(str(tmp_path), "x").error


def test_pages_joined_are_the_file(tmp_path):
    """Otherwise reading page by page would lose or add lines, or tell a model to go on at the wrong one."""
    files = workspace(tmp_path)
    text = "one\n\nthree\n\n\nsix\n"
    files.write("/a.txt", text)
    for limit in range(1, 8):
        pages = [files.read("/a.txt", offset, limit) for offset in range(0, 6, limit)]
        assert "\n".join(page.file_data["content"] for page in pages) == text
        assert [page.next_offset for page in pages] == [*range(limit, 6, limit), None]
    page = {"file_path": "/a.txt", "limit": 2}
    assert told(files, "read_file", **page) == "@@ lines 1-2 of 6 | next offset 2 @@\none\n"
    assert told(files, "read_file", **page, offset=3) == "@@ lines 4-5 of 6 | next offset 5 @@\n\n"
    assert told(files, "read_file", **page, offset=5) == "@@ lines 6-6 of 6 @@\nsix"


def test_deleting_takes_a_link_and_not_what_it_names(tmp_path):
    """Otherwise deleting a link would delete the file behind it, or the whole workspace."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    files = workspace(tmp_path)
    assert files.delete(f"{tmp_path}/link").error is None
    assert files.delete(f"{tmp_path}/folder").error is None
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert "not found" in files.delete("/nothing").error
    assert files.delete(str(tmp_path)).error
    assert files.delete("/").error


def test_a_command_is_ended_with_all_it_started(tmp_path):
    """Otherwise commands that hang would hang the agent, or go on behind its back."""
    files = workspace(tmp_path, command_timeout=2.0)
    began = time.monotonic()
    ran = files.execute("(sleep 250; touch late) & echo begun; sleep 250")
    assert time.monotonic() - began < 150
    assert (ran.exit_code, ran.output.split()[0]) == (124, "begun")
    assert "took longer than 2 seconds" in ran.output
    files = workspace(tmp_path, command_timeout=40.0)
    ran = files.execute("sleep 60 & echo here")
    # Whoever waited for all of it would be told that it took too long.
    assert (ran.exit_code, ran.output) == (0, "here\n")
    assert files.execute("exit 7").exit_code == 7
    assert files.execute("kill -TERM $$").exit_code == 143


def test_output_is_bounded(tmp_path):
    """Otherwise one command could fill the memory."""
    ran = workspace(tmp_path).execute("echo first; head -c 5000000 /dev/zero | tr '\\0' x; echo last")
    assert ran.truncated
    assert len(ran.output) < 1_100_000
    assert ran.output.startswith("first\n")
    assert ran.output.endswith("last\n")


async def test_commands_that_run_can_be_ended(tmp_path):
    """Otherwise a worker that stops would wait for every command of its agents."""
    files = workspace(tmp_path)
    running = asyncio.ensure_future(files.aexecute("touch begun; sleep 250"))
    while not (tmp_path / "begun").exists():  # noqa: ASYNC110 - made by another process
        await asyncio.sleep(0.01)
    files.shell.end_all()
    assert (await asyncio.wait_for(running, 100)).exit_code == 137


def test_what_is_no_file_is_neither_read_nor_written(tmp_path):
    """Otherwise a pipe in the workspace would hold the agent for ever."""
    os.mkfifo(tmp_path / "pipe")
    files = workspace(tmp_path)
    assert "not found" in told(files, "read_file", file_path="/pipe")
    assert "already exists" in told(files, "write_file", file_path="/pipe", content="x")
    assert "not found" in told(files, "edit_file", file_path="/pipe", old_string="a", new_string="b")


def test_huge_files_are_not_read(tmp_path):
    """Otherwise one log file could take all of the memory that the agent has."""
    for name in ("big", "video.mp4", "picture.png"):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, 3_000_000_000)
    files = workspace(tmp_path)
    for name in ("big", "video.mp4", "picture.png"):
        assert "3,000,000,000 bytes" in told(files, "read_file", file_path=f"/{name}")
    assert "by commands" in told(files, "edit_file", file_path="/big", old_string="a", new_string="b")
