"""The code of the documents on agents, their tasks and the environments they play is executed."""

import pytest

from tests.e2e.desk import OF_AGENTS, Desk


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    with Desk.open(tmp_path_factory.mktemp("desk")) as desk:
        yield desk


@pytest.mark.parametrize("script", OF_AGENTS, ids=lambda script: script.title)
def test_the_code_in_the_documents_works(desk, script):
    """If it failed, a newcomer who types what a document shows would get something else."""
    desk.keeps(script)
