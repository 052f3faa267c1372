"""Waiting commands and a stack that goes: they say so, and go on wherever it comes back."""

import asyncio
import os
import socket
import time

import pytest

from client.patience import PatientStore, SilenceLines
from client.watch import Idleness, Moment
from shiftwork.errors import StackError
from shiftwork.settings import Settings
from shiftwork.stack.file import StackFile, remove_stack, write_stack
from shiftwork.store.migrate import migrate


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def publish(settings, url):
    write_stack(settings, StackFile(pid=os.getpid(), started_at="", namespace="default", database_url=url))


def nobody():
    """The address of a database that is not there any more."""
    return f"postgresql://shiftwork:secret@127.0.0.1:{free_port()}/shiftwork"


async def asked(tx):
    return (await tx.projects.readable())[0]


async def test_a_stack_that_comes_back_elsewhere_is_found(database_url, tmp_path):
    """If it failed, a watch would ask at the old address until it gives up, with a project that goes on."""
    await migrate(database_url)
    settings = Settings(state=tmp_path)
    publish(settings, nobody())
    silent = asyncio.Event()
    told = []
    store = PatientStore(settings, on_silence=lambda seconds: (told.append(seconds), silent.set()))
    reading = asyncio.create_task(store.read(asked))
    await asyncio.wait_for(silent.wait(), 100)
    publish(settings, database_url)
    assert await asyncio.wait_for(reading, 100) == []
    await store.close()
    assert told[0] is not None
    assert told[-1] is None


async def test_a_stack_that_stays_away_is_named(tmp_path):
    """If it failed, people would be told to start a database, and not to start their stack."""
    settings = Settings(state=tmp_path)
    publish(settings, nobody())
    store = PatientStore(settings, patience=0.5)
    remove_stack(settings)
    with pytest.raises(StackError, match="No stack is running in"):
        await store.read(asked)
    await store.close()


def test_silence_is_told_now_and_again(capsys):
    """If it failed, people would see nothing of a stack that went, or a line for every question asked."""
    lines = SilenceLines()
    for seconds in (0.2, 2.9, 3.1, 4, 9, 13.2, None, 0.2, None):
        lines(seconds)
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(";")[0] for line in said] == [
        "The stack is not answering (3 s)",
        "The stack is not answering (13 s)",
        "The stack answers again.",
    ]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, True),
        ({"status": "paused"}, False),
        ({"not_before": "2026-01-01T00:00:00+00:00"}, False),
        ({"current_sessions": [{"number": 1}]}, False),
    ],
)
def test_a_project_with_which_nothing_happens_is_noticed(facts, expected):
    """If it failed, people would watch a project that has no worker, or be told so of one that works."""
    status = {"status": "active", "not_before": None, "current_sessions": [], **facts}
    idleness = Idleness(seconds=0.05)
    moment = Moment(status, [], at_rest=False)
    assert not idleness.noticed(moment)
    time.sleep(0.1)
    assert idleness.noticed(moment) is expected
