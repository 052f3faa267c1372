"""What is imported before a command or a server does anything, which `bench_startup` measures."""

import asyncio
import json
import os
import subprocess
import sys
from typing import get_type_hints

import pytest
from temporalio import workflow

from client.mcp.ahead import Ahead
from client.tools.definition import Later
from client.tools.table import DEFINITIONS
from shiftwork.contracts.updates import UPDATES
from workflows.project import ProjectWorkflow

WORKERS_ONLY = {
    "shiftwork.agents.registry",
    "shiftwork.repository",
    "activities",
    "workflows",
    "aiohttp",
    "mcp",
    "shiftwork.gateway",
    "shiftwork.verification.steps",
}
"""What only workers need, or the few commands that make something of it."""

LATER = {
    "aiohttp",
    "jsonschema",
    "yaml",
    "langchain_core",
    "genai_prices",
    "gymnasium",
    "alembic",
    "fastapi",
    "uvicorn",
    "mcp",
    "shiftwork.agents.langchain.program",
}
"""What a worker loads once something asks for it: a provider, a player, a cassette, an older database."""

STACK_ONLY = {"temporalio", "sqlalchemy", "asyncpg", "alembic", "shiftwork.store.store", "shiftwork.agents"}


def imported(modules: str) -> set[str]:
    """The names of all modules that a fresh interpreter has after it imported these."""
    code = f"import {modules}, json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=100, check=True
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("modules", "unneeded"),
    [
        pytest.param("client.api", WORKERS_ONLY, id="client"),
        pytest.param(
            "client.cli.agents, client.cli.tasks, client.cli.directing", WORKERS_ONLY, id="commands"
        ),
        pytest.param("client.cli.reading", WORKERS_ONLY | {"temporalio"}, id="reading"),
        pytest.param(
            "client.cli.status", WORKERS_ONLY | {"temporalio", "sqlalchemy", "pydantic"}, id="status"
        ),
        pytest.param(
            "client.cli.mcp, client.mcp.protocol, client.mcp.pipes, client.tools.desk",
            (WORKERS_ONLY - {"mcp"}) | STACK_ONLY,
            id="mcp",
        ),
        pytest.param("worker", LATER, id="worker"),
    ],
)
def test_nothing_is_imported_that_is_not_needed(modules: str, unneeded: set[str]) -> None:
    """If it failed, each command, or an agent that starts the server, would wait for what it never uses."""
    assert imported(modules) & unneeded == set()


ASKS = """
import asyncio, sys
from shiftwork.gateway import Gateway, Policy, Upstream, Wire

async def main():
    async with Gateway() as gateway:
        for upstream in (None, Upstream(Wire.OPENAI, "http://127.0.0.1:9")):
            async with gateway.open(Policy(upstream=upstream)):
                print("aiohttp" in sys.modules)

asyncio.run(main())
"""


def test_what_asks_a_provider_is_there_before_its_first_question() -> None:
    """If it failed, a worker would load it for nothing, or stand still while the first model is asked."""
    argv = [sys.executable, "-P", "-c", ASKS]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_updates_are_those_of_the_workflow() -> None:
    """If it failed, a client would ask a project what its workflow does not know, or misread the answer."""
    handlers = workflow._Definition.must_from_class(ProjectWorkflow).updates
    assert {each.name for each in UPDATES} == set(handlers)
    for update in UPDATES:
        [asked] = handlers[update.name].arg_types
        assert asked in (update.asked, update.asked | None)
        assert handlers[update.name].ret_type is update.answered


MAINS = {
    "command": "from client.__main__ import main; sys.argv[1:] = ['list']; sys.exit(main())",
    "worker": "import runpy; runpy.run_module('worker', run_name='__main__')",
}
"""What ends at once, as there is no stack; in both, no import was looked through for garbage."""


@pytest.mark.parametrize("main", MAINS.values(), ids=MAINS.keys())
def test_what_a_program_imports_is_not_looked_through_for_garbage(main: str) -> None:
    """If it failed, each would spend much of its start on that, and leave the collector off."""
    code = (
        "import gc, sys; began = sum(each['collections'] for each in gc.get_stats())\n"
        f"try: {main}\n"
        "except SystemExit as ended:\n"
        " looked = sum(each['collections'] for each in gc.get_stats()) - began\n"
        " print(ended.code, gc.get_freeze_count() > 10_000, gc.isenabled(), looked < 100)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, "SHIFTWORK_STATE": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr.count("\n")) == ("1 True True True\n", 1)


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda each: each.name)
def test_the_work_of_each_tool_fits_what_it_is_told_of(definition) -> None:
    """If it failed, a model would be told of a tool that is not there, or takes or answers something else."""
    assert isinstance(definition.work, Later)
    hints = get_type_hints(definition.work.load())
    assert hints["asked"] is definition.arguments
    assert hints["return"] is definition.result


async def test_what_is_loaded_ahead_is_loaded_once_and_its_errors_are_told(caplog) -> None:
    """If it failed, each list of tools would load them again, or a broken installation would show nowhere."""
    loaded = []

    def load() -> None:
        loaded.append(1)
        raise ImportError("no module named x")

    ahead = Ahead(load)
    ahead.begin()
    ahead.begin()
    async with asyncio.timeout(100):
        while "can't be loaded: no module named x" not in caplog.text:  # noqa: ASYNC110 - only the log tells
            await asyncio.sleep(0.01)
    assert loaded == [1]
