"""`stack.json`, the folders around it, and what a predecessor left behind."""

import json
import os
import stat
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from client.__main__ import main
from shiftwork.codec.sources import StateKeys
from shiftwork.errors import InvalidInput, StackError
from shiftwork.settings import Settings
from shiftwork.stack.file import (
    StackFile,
    database_url,
    has_own_database,
    read_stack,
    remove_stack,
    temporal_is_external,
    write_stack,
)
from shiftwork.stack.leftovers import end_postmaster, end_recorded, record
from shiftwork.stack.private import private_folder, state_folder, write_private
from shiftwork.stack.sockets import free_ports, socket_folder

STACK = StackFile(
    pid=os.getpid(),
    started_at="2026-01-01T00:00:00+00:00",
    namespace="default",
    database_url="postgresql://postgres:secret@127.0.0.1:5432/shiftwork",
)


@pytest.fixture
def settings(tmp_path):
    return Settings(state=tmp_path)


@pytest.fixture
def sleeper():
    """A process that only a signal ends."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    yield process
    process.kill()
    process.wait()


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_written_is_read(settings):
    """Commands would look for the servers in the wrong place."""
    write_stack(settings, STACK)
    assert read_stack(settings) == STACK
    assert mode(settings.stack_file) == 0o600
    assert list(settings.state.iterdir()) == [settings.stack_file]


@pytest.mark.parametrize(
    ("named", "brought", "own"),
    [(None, False, True), (None, True, False), ("postgresql://h/d", False, False)],
)
def test_a_database_that_people_brought_is_nobodys_own(settings, named, brought, own):
    """If it failed, results would be told where others listen, and others would be believed."""
    write_stack(settings, STACK if brought else replace(STACK, postgres_socket="/tmp/x"))
    assert has_own_database(replace(settings, database_url=named)) is own


def test_a_killed_stack_counts_as_none(settings):
    """After kill -9, commands would wait for servers that are gone."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    write_stack(settings, replace(STACK, pid=gone.pid))
    assert read_stack(settings) is None


def test_fields_of_later_versions_are_ignored(settings):
    """A field added to the file would break every older command beside it."""
    settings.stack_file.write_text(json.dumps({**asdict(STACK), "novel": 1}))
    assert read_stack(settings) == STACK


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1, "pid": 1}', '{"version": "x"}'])
def test_a_damaged_file_is_one_sentence(settings, text):
    """A truncated file would end in a traceback."""
    settings.stack_file.write_text(text)
    with pytest.raises(StackError, match="is damaged"):
        read_stack(settings)


def test_a_newer_file_is_refused(settings):
    """An old command would misread a new file."""
    settings.stack_file.write_text(json.dumps({**asdict(STACK), "version": 99}))
    with pytest.raises(StackError, match="newer Shiftwork"):
        read_stack(settings)


def test_where_the_database_is(settings):
    """A set DSN must win over the embedded database, and none at all must say what to do."""
    with pytest.raises(StackError, match=r"No stack is running in .*shiftwork dev"):
        database_url(settings)
    write_stack(settings, STACK)
    assert database_url(settings) == STACK.database_url
    assert database_url(Settings(state=settings.state, database_url="postgresql://x")) == "postgresql://x"
    remove_stack(settings)
    assert read_stack(settings) is None


@pytest.mark.parametrize(
    ("environ", "external"),
    [
        ({}, False),
        ({"TEMPORAL_ADDRESS": ""}, False),
        ({"TEMPORAL_NAMESPACE": "x"}, False),
        ({"TEMPORAL_ADDRESS": "host:7233"}, True),
        ({"TEMPORAL_PROFILE": "cloud"}, True),
        ({"TEMPORAL_CONFIG_FILE": "t.toml"}, True),
    ],
)
def test_when_temporal_is_external(environ, external):
    """A second, embedded server would run beside the one that somebody configured."""
    assert temporal_is_external(environ) is external


def test_new_folders_are_private_and_old_ones_keep_their_mode(tmp_path):
    """A state folder that others can read gives the database's password away."""
    assert mode(state_folder(tmp_path / "new")) == 0o700
    (tmp_path / "old").mkdir(mode=0o755)
    (tmp_path / "old").chmod(0o755)
    assert mode(state_folder(tmp_path / "old")) == 0o755
    assert mode(private_folder(tmp_path / "old")) == 0o700


AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of other users")


@AS_ROOT
@pytest.mark.parametrize("what", [".", "stack.json"])
def test_what_another_user_laid_there_is_not_believed(settings, what):
    """A command in a shared folder would be led to the database of whoever laid a state folder there."""
    write_stack(settings, STACK)
    os.chown(settings.state / what, 65534, 65534)
    with pytest.raises(InvalidInput, match=r"belongs to the user .*, so it is not used: run it as the user"):
        read_stack(settings)


@AS_ROOT
def test_a_command_in_anothers_folder_is_one_sentence(tmp_path, monkeypatch, capsys):
    """`shiftwork list` would connect to wherever the folder's owner wants."""
    (tmp_path / ".shiftwork").mkdir()
    write_stack(Settings(state=tmp_path / ".shiftwork"), STACK)
    os.chown(tmp_path / ".shiftwork", 65534, 65534)
    monkeypatch.chdir(tmp_path)
    for name in ("SHIFTWORK_STATE", "SHIFTWORK_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for argv in (["list"], ["dev"], ["keys", "list"], ["temporal", "workflow", "list"]):
        assert main(argv) == 1
        told = capsys.readouterr().err
        assert "belongs to the user" in told
        assert told.count("\n") == 1


@AS_ROOT
@pytest.mark.parametrize("what", [".", "codec", "codec/keys.json"])
def test_anothers_keys_are_not_used(tmp_path, what):
    """What goes to Temporal would be encrypted for somebody else."""
    keys = StateKeys(tmp_path / "state")
    keys.ring()
    os.chown(tmp_path / "state" / what, 65534, 65534)
    for use in (keys.ring, keys.rotate, StateKeys(tmp_path / "state").ring):
        with pytest.raises(InvalidInput, match="belongs to the user"):
            use()


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_what_others_can_write_is_not_believed(settings, mode):
    """Another user could replace what lies there, and lead every command elsewhere."""
    write_stack(settings, STACK)
    settings.state.chmod(mode)
    for use in (lambda: read_stack(settings), lambda: state_folder(settings.state)):
        with pytest.raises(InvalidInput, match=r"Others may write to .* `chmod go-w "):
            use()
    settings.state.chmod(0o755)
    settings.stack_file.chmod(mode & 0o666)
    with pytest.raises(InvalidInput, match=r"Others may write to .* `chmod 600 "):
        read_stack(settings)


@AS_ROOT
def test_a_link_of_anothers_is_not_followed(tmp_path):
    """A link in a shared folder would choose which of one's own stacks a command is about."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert state_folder(tmp_path / "link") == tmp_path / "link"
    os.chown(tmp_path / "link", 65534, 65534, follow_symlinks=False)
    with pytest.raises(InvalidInput, match="belongs to the user"):
        state_folder(tmp_path / "link")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "folder"])
def test_what_is_no_file_is_never_waited_for(settings, make):
    """A command would hang for ever."""
    make(settings.stack_file)
    with pytest.raises((InvalidInput, StackError), match=r"is no file|can't be read"):
        read_stack(settings)


def test_a_file_in_the_folders_place_is_one_sentence(tmp_path):
    """A mistyped SHIFTWORK_STATE would end in a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match="can't be used"):
        private_folder(tmp_path / "file")


def test_private_files_replace_what_was_there(tmp_path):
    """A password written into a file of mode 0644 could be read by everybody."""
    path = tmp_path / "secret"
    path.write_text("old")
    write_private(path, "new")
    assert (path.read_text(), mode(path), list(tmp_path.iterdir())) == ("new", 0o600, [path])


def test_socket_folders_are_short_and_private(tmp_path):
    """A deep state folder would make a socket path that the kernel refuses."""
    deep = tmp_path / ("deep" * 40)
    folder = socket_folder(deep)
    try:
        assert len(str(folder / ".s.PGSQL.65535.lock")) < len(tempfile.gettempdir()) + 60
        assert mode(folder) == 0o700
        assert socket_folder(deep) == folder != socket_folder(tmp_path)
    finally:
        folder.rmdir()
        socket_folder(tmp_path).rmdir()


def test_a_planted_socket_folder_is_refused(tmp_path):
    """Another user who makes the folder first could answer in PostgreSQL's place."""
    folder = socket_folder(tmp_path)
    folder.rmdir()
    folder.symlink_to(tmp_path)
    try:
        with pytest.raises(StackError, match="belongs to somebody else"):
            socket_folder(tmp_path)
    finally:
        folder.unlink()


def test_free_ports_differ():
    """Two servers would be told to listen on one port."""
    assert len(set(free_ports(8))) == 8


def test_recorded_processes_are_ended_with_their_children(tmp_path):
    """A worker that outlived a killed stack would run beside the next one's."""
    code = (
        "import subprocess, sys, time; subprocess.Popen(['sleep', '100']); print(flush=True); time.sleep(100)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    parent.stdout.readline()
    parent.stdout.close()
    [child] = psutil.Process(parent.pid).children()
    record(tmp_path / "children.json", [parent.pid])
    end_recorded(tmp_path / "children.json")
    assert parent.wait(100) != 0
    assert psutil.wait_procs([child], 5)[1] == []
    assert not (tmp_path / "children.json").exists()


def test_a_reused_number_is_left_alone(tmp_path, sleeper):
    """The next process to get a dead child's number would be killed in its place."""
    path = tmp_path / "children.json"
    path.write_text(json.dumps([{"pid": sleeper.pid, "started": 1.0}]))
    end_recorded(path)
    assert sleeper.poll() is None


@pytest.mark.parametrize("text", ["", "nonsense"])
def test_a_damaged_record_is_no_hindrance(tmp_path, text):
    """A crash while recording would forbid every later start."""
    path = tmp_path / "children.json"
    path.write_text(text)
    end_recorded(path)
    assert not path.exists()


def test_a_stale_postmaster_file_is_removed(tmp_path, sleeper):
    """PostgreSQL takes any process with its predecessor's number for it, and refuses to start."""
    (tmp_path / "postmaster.pid").write_text(f"{sleeper.pid}\n{tmp_path}\n")
    end_postmaster(tmp_path)
    assert sleeper.poll() is None
    assert not Path(tmp_path / "postmaster.pid").exists()
