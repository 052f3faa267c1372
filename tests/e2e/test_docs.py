"""The code that the documents show is executed, but for what `test_docs_agents` executes."""

import pytest

from tests.e2e.desk import OF_AGENTS, SCRIPTS, Desk

OTHERS = [script for script in SCRIPTS if script not in OF_AGENTS]
PINNED = {
    *("README-quickstart", "python-harness", "temporal-letters", "operations-trouble", "rest-rest"),
    # Agents that run by schedules, from one run to the next, as far as their machine lets them.
    *("agents-config", "agents-executor", "agents-scheduler", "agents-handoffs", "agents-lock"),
    *("agents-http", "agents-together", "resources-acquire", "resources-check", "python-agents-run"),
    # Tasks of providers, and those who run them.
    *("tasks-once", "tasks-loop", "tasks-functions", "tasks-looping", "tasks-provider"),
    *("troubleshooting-tasks", "troubleshooting-runner", "troubleshooting-refused"),
}
"""What is shown of each thing that was promised."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    with Desk.open(tmp_path_factory.mktemp("desk")) as desk:
        yield desk


@pytest.mark.parametrize("script", OTHERS, ids=lambda script: script.title)
def test_the_code_in_the_documents_works(desk, script):
    """If it failed, a newcomer who types what a document shows would get something else."""
    desk.keeps(script)


def test_the_documents_have_code():
    """If it failed, the mark of a block would be misspelt or gone, and what it shows not executed."""
    assert {script.title for script in SCRIPTS} >= PINNED
    for script in SCRIPTS:
        assert script.code, f"{script.title} promises an output of no code"
    assert {script.title for script in (*OTHERS, *OF_AGENTS)} == {script.title for script in SCRIPTS}
