"""What the documents give as the settings of agents is taken as it stands there."""

import re

import pytest

from client.specification import read_specification
from client.vetting import check_agent
from shiftwork.contracts.project import ProjectOptions
from shiftwork.planning.casting import everybody
from tests.unit.docs_support import ROOT

BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADS = [
    pytest.param(block, id=f"{name}-{number}")
    for name in ("backends", "roles")
    for number, block in enumerate(BLOCK.findall((ROOT / "docs" / f"{name}.md").read_text()), start=1)
]


def test_there_are_such_blocks() -> None:
    """If it failed, the tests below would look at nothing."""
    assert {"backends-4", "roles-1"} <= {head.id for head in HEADS}


@pytest.mark.parametrize("block", HEADS)
def test_a_front_matter_that_is_shown_can_be_started_with(block, tmp_path) -> None:
    """If it failed, whoever copies it would be told that it is wrong."""
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "testing.md").write_text("Write property tests only.")
    head = block.replace("---\n", "")
    (tmp_path / "spec.md").write_text(f"---\n{head}---\nBuild it.\n")
    found = read_specification(tmp_path / "spec.md").head
    given = found.model_dump(include=found.model_fields_set & set(ProjectOptions.model_fields))
    options = ProjectOptions.model_validate(given)
    assert given, "nothing was read"
    for agent in everybody(options):
        check_agent(agent.backend, agent.settings)
