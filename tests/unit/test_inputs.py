"""What programs give the harness that can't be used: refused in one sentence, with no stack asked."""

import re

import pytest

from client import LongRunningHarness, Shiftwork, read_specification
from shiftwork.errors import InvalidInput


@pytest.mark.parametrize("value", [0, -1, "x", 1.5, True])
async def test_a_number_of_sessions_is_looked_at_first(tmp_path, value):
    """A program would get a foreign error of several lines, or a project with another limit."""
    harness = LongRunningHarness(agent_settings={"cassette": tmp_path})
    with pytest.raises(InvalidInput, match=r"max_sessions is .*; give a whole number from 1 on"):
        await harness.start_project("p", "a program", max_sessions=value)


@pytest.mark.parametrize("value", ["x", True, -1, 1.5, 10**30])
async def test_the_sequence_of_an_event_is_looked_at_first(tmp_path, value):
    """A program would be told of a statement in SQL."""
    harness = LongRunningHarness(agent_settings={"cassette": tmp_path})
    with pytest.raises(InvalidInput, match=r"after is .*; give the sequence of an event"):
        await harness.wait_project("p", after=value)


@pytest.mark.parametrize(("ref", "said"), [(None, "None"), (5, "5"), (b"p", "an object of type 'bytes'")])
async def test_a_project_is_named_by_a_text(ref, said):
    """A program would be told that something has no attribute."""
    with pytest.raises(InvalidInput, match=re.escape(f"{said} names no project; give its id")):
        await Shiftwork().find(ref)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "has no character that can be seen"),
        (" \u202e\n", "has no character that can be seen"),
        ("x" * 5_000, "has 5,000 characters, and may have 120; shorten it"),
        ("a\0b", "holds a NUL character, which can't be stored; remove it"),
        ("a\ud800", "holds half of a character"),
        (None, "must be text, not NoneType"),
        (5, "must be text, not int"),
    ],
)
async def test_a_project_gets_a_name_that_it_can_have(name, said):
    """A project would be there that can't start or be seen, or is named otherwise; or SQL would be told."""
    with pytest.raises(InvalidInput, match=f"^The project's name {said}"):
        await Shiftwork().create(name, "a program")


@pytest.mark.parametrize(
    ("spec", "said"),
    [("a\0", "holds a NUL"), ("\udc80", "holds half of a character"), (None, "must be text, not NoneType")],
)
async def test_a_specification_is_kept_as_it_is(spec, said):
    """Agents would plan from a text that nobody wrote."""
    with pytest.raises(InvalidInput, match=f"^The specification {said}"):
        await Shiftwork().create("p", spec)


def test_a_specification_may_have_all_the_bytes_that_it_may(tmp_path):
    """One that ends without a line's end would be refused for a byte that is ours."""
    file = tmp_path / "spec.md"
    file.write_text("a" * 1_000_000)
    assert len(read_specification(file).text) == 1_000_000
    file.write_text("a" * 1_000_001)
    with pytest.raises(InvalidInput, match="larger than 1,000,000 bytes"):
        read_specification(file)
