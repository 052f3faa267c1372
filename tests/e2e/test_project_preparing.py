"""A project that can't be prepared says why, waits for a person, and can be left."""

import shutil
import subprocess

import pytest

from shiftwork.errors import InvalidInput
from tests.e2e.lab import Lab, Project
from tests.e2e.support import scripted, simple_attempt, simple_feature, write_cassette


def new_repository(folder, *options: str) -> None:
    subprocess.run(["git", "init", "-q", "-b", "main", *options, str(folder)], check=True)


def other_objects(folder) -> None:
    """A repository whose objects the private one can't hold."""
    new_repository(folder, "--object-format=sha256")
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    commit = ("commit", "-q", "--allow-empty", "-m", "first")
    subprocess.run(["git", "-C", str(folder), *identity, *commit], check=True)


async def test_a_repository_of_other_objects_is_refused_at_start(lab: Lab) -> None:
    """Accepted, it would fail for ever where nobody looks."""
    other_objects(lab.folder / "r")
    cassette = write_cassette(lab.folder / "c.yml", [simple_feature("a")], {"a": [simple_attempt("a")]})
    with pytest.raises(InvalidInput, match="only SHA-1 repositories"):
        await lab.shiftwork.create("sha256", "x", repository=lab.folder / "r", options=scripted(cassette))


@pytest.mark.parametrize("mended", [True, False])
async def test_what_can_not_be_prepared_waits_for_a_person(lab: Lab, mended) -> None:
    """A failure that trying again can't help must end in a pause with its reason, and be left or mended."""
    cassette = write_cassette(lab.folder / "c.yml", [simple_feature("a")], {"a": [simple_attempt("a")]})
    row = await lab.shiftwork.create(
        f"unprepared {mended} {lab.folder}", "x", repository=lab.folder / "r", options=scripted(cassette)
    )
    shutil.rmtree(lab.folder / "r")
    other_objects(lab.folder / "r")
    await lab.shiftwork.open(row.id)
    project = Project(lab, row.id, lab.folder / "r", cassette)
    assert "git fetch failed" in await project.pauses()
    after = await project.now()
    if mended:
        shutil.rmtree(lab.folder / "r")
        new_repository(lab.folder / "r")
        await lab.shiftwork.resume(row.id)
        await project.completes(after)
    else:
        await lab.shiftwork.abandon(row.id, "never mind")
        assert (await project.rest(after))["status"] == "abandoned"
        await lab.shiftwork.delete(row.id)
