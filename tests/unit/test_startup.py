"""What is imported before a command or a server does anything; measured by `bench_startup`, kept here."""

import json
import subprocess
import sys

import pytest
from temporalio import workflow

from shiftwork.contracts.updates import UPDATES
from workflows.project import ProjectWorkflow

WORKERS_ONLY = {
    "activities",
    "workflows",
    "aiohttp",
    "mcp",
    "shiftwork.gateway",
    "shiftwork.verification.steps",
}


def imported(modules: str) -> set[str]:
    """The names of all modules that a fresh interpreter has after it imported these."""
    code = f"import {modules}, json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("modules", "unneeded"),
    [
        pytest.param("client.api", WORKERS_ONLY, id="client"),
        pytest.param("client.harness, client.cli.agents, client.cli.tasks", WORKERS_ONLY, id="commands"),
        pytest.param("client.cli.reading", WORKERS_ONLY | {"temporalio"}, id="reading"),
        pytest.param(
            "client.cli.status", WORKERS_ONLY | {"temporalio", "sqlalchemy", "pydantic"}, id="status"
        ),
    ],
)
def test_nothing_is_imported_that_is_not_needed(modules: str, unneeded: set[str]) -> None:
    """If it failed, each command, or an agent that starts the server, would wait for what it never uses."""
    assert imported(modules) & unneeded == set()


def test_updates_are_those_of_the_workflow() -> None:
    """If it failed, a client would ask a project what its workflow does not know, or misread the answer."""
    handlers = workflow._Definition.must_from_class(ProjectWorkflow).updates
    assert {each.name for each in UPDATES} == set(handlers)
    for update in UPDATES:
        [asked] = handlers[update.name].arg_types
        assert asked in (update.asked, update.asked | None)
        assert handlers[update.name].ret_type is update.answered
