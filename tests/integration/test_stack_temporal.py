"""The embedded Temporal server: its namespace, its store, and a first workflow."""

import json
import os
import signal
import urllib.request
from datetime import timedelta

import psutil
import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker

from shiftwork.contracts.session import Failure, FailureKind
from shiftwork.stack.temporal_server import EmbeddedTemporal
from shiftwork.temporal import (
    FEATURE,
    PROGRESS,
    PROJECT,
    SEARCH_ATTRIBUTES,
    TASK_QUEUE,
    connect,
    plugin,
    search_attribute_types,
)


@workflow.defn(name="EchoWorkflow")
class EchoWorkflow:
    """Gives back what it is given, and says so in its search attributes."""

    @workflow.run
    async def run(self, failure: Failure) -> Failure:
        workflow.upsert_search_attributes([PROJECT.value_set("echo"), PROGRESS.value_set(12.5)])
        await workflow.sleep(timedelta(milliseconds=1))
        return failure


@pytest.fixture
async def server(tmp_path):
    """A server of the test's own, not started."""
    server = EmbeddedTemporal(
        tmp_path / "temporal",
        search_attributes={"ShiftworkProject": "Keyword", "ShiftworkProgress": "Double"},
    )
    yield server
    await server.stop()


def api(server, path):
    url = f"http://{server.http_address}/api/v1/namespaces/default{path}"
    request = urllib.request.Request(url, headers={"Host": server.http_host})
    with urllib.request.urlopen(request) as response:
        return json.load(response)


async def run_echo(client, workflow_id):
    failure = Failure(kind=FailureKind.STEP_FAILED, step=2)
    async with Worker(client, task_queue=TASK_QUEUE, workflows=[EchoWorkflow]):
        run = EchoWorkflow.run
        handle = await client.start_workflow(run, failure, id=workflow_id, task_queue=TASK_QUEUE)
        assert await handle.result() == failure
    return handle


async def test_the_plugin_carries_a_workflow(stack):
    """A client, its worker and the server would not understand each other's payloads or attributes."""
    handle = await run_echo(await connect(stack), "echo")
    attributes = (await handle.describe()).typed_search_attributes
    assert (attributes[PROJECT], attributes[PROGRESS], attributes.get(FEATURE)) == ("echo", 12.5, None)


async def test_histories_are_kept_for_thirty_days(temporal):
    """A project that pauses over a weekend would lose its history."""
    assert api(temporal, "")["config"]["workflowExecutionRetentionTtl"] == f"{30 * 86_400}s"


async def test_every_attribute_is_registered(temporal):
    """A workflow that sets an unknown attribute is stuck until somebody registers it."""
    assert api(temporal, "/search-attributes")["customAttributes"].keys() == search_attribute_types().keys()


async def test_a_killed_server_starts_again_with_its_workflows(server):
    """A Temporal server that crashed would come back empty, elsewhere, or not at all."""
    await server.start()
    await run_echo(await connect_to(server), "before")
    ports = (server.port, server.ui_port, server.http_port)
    os.kill(server.pid, signal.SIGKILL)
    assert await server.wait() == -signal.SIGKILL
    await server.start()
    assert (server.port, server.ui_port, server.http_port) == ports
    description = await (await connect_to(server)).get_workflow_handle("before").describe()
    assert description.status is not None
    assert description.status.name == "COMPLETED"


async def connect_to(server):
    return await Client.connect(server.address, plugins=[plugin()])


async def test_no_step_waits_for_the_disk(server, tmp_path):
    """If it failed, each step of a workflow would wait several times until the disk has it."""
    await server.start()
    assert (tmp_path / "temporal" / "temporal.db-wal").exists()
    lines = [line for line in map(cmdline, psutil.process_iter()) if str(tmp_path) in " ".join(line)]
    assert lines
    assert all("synchronous=normal" in " ".join(line) for line in lines)


def cmdline(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


async def test_an_attribute_that_is_new_is_added_to_an_old_store(server, tmp_path):
    """The server ignores the flag on a store that exists: an update of ours would leave workflows stuck."""
    await server.start()
    assert len(api(server, "/search-attributes")["customAttributes"]) == 2
    await server.stop()
    successor = EmbeddedTemporal(tmp_path / "temporal", search_attributes=search_attribute_types())
    await successor.start()
    try:
        assert len(api(successor, "/search-attributes")["customAttributes"]) == len(SEARCH_ATTRIBUTES)
    finally:
        await successor.stop()


async def test_a_store_of_another_version_is_set_aside(server, caplog):
    """The server would refuse, or damage, what another version wrote."""
    server.folder.mkdir()
    (server.folder / "temporal.db").write_text("of old")
    (server.folder / "temporal.db.version").write_text("0.1\n")
    await server.start()
    assert (server.folder / "temporal.db.0.1").read_text() == "of old"
    [record] = caplog.records
    assert "was made by version 0.1" in record.getMessage()
