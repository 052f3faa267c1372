"""The files and the shell that a LangChain agent works with."""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest
from langchain_tests.integration_tests import SandboxIntegrationTests

from shiftwork.agents.langchain.program.workspace import Workspace


def differs(what):
    """A test of the suite that contradicts the protocol of the installed deepagents, which the agent's tools
    and their descriptions follow."""
    return pytest.mark.xfail(reason=f"deepagents 0.7 wants {what}", strict=True)


ABSOLUTE = differs("absolute paths of files, and no folders")
LAST_LINE = differs("the line break that ends a page to be part of it")


def workspace(folder, **options):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    given = {"environment": {"PATH": path}, "command_timeout": 20.0}
    return Workspace(Path(folder), **(given | options))


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

    @ABSOLUTE
    def test_glob(self, sandbox_backend, sandbox_test_root):
        super().test_glob(sandbox_backend, sandbox_test_root)

    @ABSOLUTE
    def test_glob_basic_pattern(self, sandbox_backend, sandbox_test_root):
        super().test_glob_basic_pattern(sandbox_backend, sandbox_test_root)

    @ABSOLUTE
    def test_glob_with_directories(self, sandbox_backend, sandbox_test_root):
        super().test_glob_with_directories(sandbox_backend, sandbox_test_root)

    @ABSOLUTE
    def test_glob_hidden_files_explicitly(self, sandbox_backend, sandbox_test_root):
        super().test_glob_hidden_files_explicitly(sandbox_backend, sandbox_test_root)

    @ABSOLUTE
    def test_glob_with_character_class(self, sandbox_backend, sandbox_test_root):
        super().test_glob_with_character_class(sandbox_backend, sandbox_test_root)

    @ABSOLUTE
    def test_glob_with_question_mark(self, sandbox_backend, sandbox_test_root):
        super().test_glob_with_question_mark(sandbox_backend, sandbox_test_root)

    @differs("writing to replace a file that is there")
    def test_write_existing_file_fails(self, sandbox_backend, sandbox_test_root):
        super().test_write_existing_file_fails(sandbox_backend, sandbox_test_root)

    @LAST_LINE
    async def test_aread_large_text_payload_paginated_roundtrip(self, sandbox_backend, sandbox_test_root):
        await super().test_aread_large_text_payload_paginated_roundtrip(sandbox_backend, sandbox_test_root)

    @LAST_LINE
    def test_write_read_download_large_text_with_escaped_content(self, sandbox_backend, sandbox_test_root):
        super().test_write_read_download_large_text_with_escaped_content(sandbox_backend, sandbox_test_root)

    @LAST_LINE
    async def test_awrite_aread_adownload_large_text_with_escaped_content(
        self, sandbox_backend, sandbox_test_root
    ):
        await super().test_awrite_aread_adownload_large_text_with_escaped_content(
            sandbox_backend, sandbox_test_root
        )


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
    assert secret.read_text() == "secret"
    assert files.read(f"{brief}/brief.md").file_data["content"] == "the brief"
    assert "can only be read" in files.write(f"{brief}/brief.md", "x").error
    assert "can only be read" in files.delete(f"{brief}/brief.md").error


def test_a_path_from_the_root_is_one_of_the_workspace(tmp_path):
    """Otherwise a model that writes `/src/a.py`, as many do, would always fail."""
    files = workspace(tmp_path)
    assert files.write("/src/a.py", "1\n").error is None
    assert (tmp_path / "src" / "a.py").read_text() == "1\n"
    assert [found["path"] for found in files.glob("*.py").matches] == [f"{tmp_path}/src/a.py"]


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
    files = workspace(tmp_path, command_timeout=1.0)
    began = time.monotonic()
    ran = files.execute("(sleep 30; touch late) & echo begun; sleep 30")
    assert time.monotonic() - began < 5
    assert (ran.exit_code, ran.output.split()[0]) == (124, "begun")
    assert "took longer than 1 seconds" in ran.output
    began = time.monotonic()
    ran = files.execute("sleep 30 & echo here")
    assert (ran.exit_code, ran.output) == (0, "here\n")
    assert time.monotonic() - began < 0.9
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
    running = asyncio.ensure_future(files.aexecute("touch begun; sleep 30"))
    while not (tmp_path / "begun").exists():  # noqa: ASYNC110 - made by another process
        await asyncio.sleep(0.01)
    files.shell.end_all()
    assert (await asyncio.wait_for(running, 5)).exit_code == 137
