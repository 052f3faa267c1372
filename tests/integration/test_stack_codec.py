"""The codec between real clients, workers and a real server: old and new ones, and keys that change."""

from dataclasses import replace

import pytest
from temporalio import workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer, Worker

from shiftwork.codec.choose import choose_codec
from shiftwork.codec.sources import state_keys
from shiftwork.settings import Settings
from shiftwork.temporal import TASK_QUEUE, plugin

QUEUE = f"{TASK_QUEUE}-codec"


@workflow.defn(name="LetterWorkflow")
class LetterWorkflow:
    """Waits for a word, and gives it back, or fails with it."""

    def __init__(self) -> None:
        self._word = ""

    @workflow.run
    async def run(self, before: str) -> str:
        await workflow.wait_condition(lambda: self._word != "")
        if self._word == "fail":
            raise ApplicationError(f"{before} fails")
        return f"{before} {self._word}"

    @workflow.signal
    def say(self, word: str) -> None:
        self._word = word


@pytest.fixture
def settings(tmp_path):
    """Of a state folder of the test's own, so that its keys are its own, too."""
    return Settings(state=tmp_path)


async def client(temporal, settings):
    """A client as `connect` makes it."""
    return await Client.connect(temporal.address, plugins=[plugin(choose_codec(settings, {}))])


def worker(client):
    return Worker(client, task_queue=QUEUE, workflows=[LetterWorkflow])


async def begin(client, workflow_id):
    run = LetterWorkflow.run
    return await client.start_workflow(run, "hello", id=workflow_id, task_queue=QUEUE)


async def test_a_project_started_with_the_codec_off_goes_on_with_it(temporal, settings):
    """An update of Shiftwork would leave every running project behind."""
    old, new = await client(temporal, replace(settings, codec=False)), await client(temporal, settings)
    await begin(old, "off-on")
    async with worker(old):
        await new.get_workflow_handle("off-on").query("__stack_trace")
    async with worker(new):
        await old.get_workflow_handle("off-on").signal("say", "world")
        assert await new.get_workflow_handle("off-on").result() == "hello world"
    history = await new.get_workflow_handle("off-on").fetch_history()
    replayer = Replayer(workflows=[LetterWorkflow], plugins=[plugin(choose_codec(settings, {}))])
    await replayer.replay_workflow(history)


async def test_a_worker_with_the_codec_off_still_reads(temporal, settings):
    """Switching it off would leave every running project behind."""
    on = await client(temporal, settings)
    handle = await begin(on, "on-off")
    off = await client(temporal, replace(settings, codec=False))
    async with worker(off):
        await handle.signal("say", "world")
        assert await handle.result() == "hello world"


async def test_a_rotation_in_the_middle_is_no_event(temporal, settings):
    """Keys could be rotated only while nothing runs."""
    first = await client(temporal, settings)
    handle = await begin(first, "rotated")
    async with worker(first):
        await handle.query("__stack_trace")
        ring = state_keys(settings).rotate()
        await (await client(temporal, settings)).get_workflow_handle("rotated").signal("say", "world")
        assert await handle.result() == "hello world"
    stored = b"".join(event.SerializeToString() for event in (await handle.fetch_history()).events)
    assert all(key.id.encode() in stored for key in ring.keys)
    assert b"world" not in stored


async def test_what_went_wrong_is_told_to_us_alone(temporal, settings):
    """The messages of failures would stand in the history."""
    ours = await client(temporal, settings)
    handle = await begin(ours, "failing")
    async with worker(ours):
        await handle.signal("say", "fail")
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert str(failed.value.__cause__) == "hello fails"
    stored = b"".join(event.SerializeToString() for event in (await handle.fetch_history()).events)
    assert b"Encoded failure" in stored
    assert b"hello" not in stored
