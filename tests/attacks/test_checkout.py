"""Trees and merges: what a commit holds reaches a folder byte for byte, runs nothing and stays inside."""

import os
import subprocess
from contextlib import chdir
from pathlib import Path

import pytest

from shiftwork.errors import MergeConflict, RepositoryError
from shiftwork.repository.names import is_git_name
from tests.attacks.support import naive
from tests.unit.repository_support import commit_files


def raw_tree(folder: Path, entries: list[tuple[bytes, bytes, str]]) -> str:
    """A tree with these (mode, name, id), whatever git thinks of the names."""
    data = b"".join(mode + b" " + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in entries)
    command = ["git", "-C", str(folder), "hash-object", "-t", "tree", "-w", "--literally", "--stdin"]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout.decode().strip()


def blob(folder: Path, data: bytes) -> str:
    """A blob of a person's repository."""
    command = ["git", "-C", str(folder), "hash-object", "-w", "--stdin"]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout.decode().strip()


NAMES = [b"..", b".", b".git", b".GIT", b"git~1", b".git ", b"../x", b"/x", b"a//b", ".g\u200cit".encode()]


@pytest.mark.parametrize("name", NAMES, ids=os.fsdecode)
@pytest.mark.parametrize("as_folder", [True, False])
async def test_a_tree_stays_in_its_folder(ground, control, name, as_folder):
    """A history from elsewhere could write over the harness's own files, or plant a repository."""
    content = blob(control, b"evil")
    inner = raw_tree(control, [(b"100644", b"x", content)])
    entry = (b"40000", name, inner) if as_folder else (b"100644", name, content)
    tree = raw_tree(control, [entry])
    commit = naive(control, f"git commit-tree -m evil {tree}").strip()
    # A naive checkout writes to the path that a listing gives it.
    place = os.path.normpath(
        "folder/" + naive(control, f"git ls-tree -r -z --name-only {commit}").rstrip("\0")
    )
    assert (
        not place.startswith("folder/") or is_git_name(place.split("/")[1]) or name in {b".", b"a//b", b"/x"}
    )

    naive(control, f"git update-ref refs/heads/evil {commit}")
    naive(ground.repo.path, f"git fetch -q --no-tags {control} +evil:refs/x/evil")
    workspace = await ground.workspace()
    with pytest.raises(RepositoryError, match="no name that a folder can hold"):
        await workspace.prepare(ground.repo, commit, with_git=True)
    assert sorted(path.name for path in workspace.path.parent.iterdir()) == [
        "files",
        "packs",
        "trash",
        "written.json",
    ]
    await workspace.prepare(ground.repo, ground.base, with_git=True)
    await workspace.release()


CONVERSIONS = {
    "eol": ("a eol=crlf\n", b"x\n"),
    "ident": ("a ident\n", b"$Id$\n"),
    "working-tree-encoding": ("a working-tree-encoding=UTF-16\n", b"x\n"),
    "export-subst": ("a export-subst\n", b"$Format:%H$\n"),
    "export-ignore": ("a export-ignore\n", b"x\n"),
    "filter": ("a filter=evil\n", b"x\n"),
}


@pytest.mark.parametrize("name", CONVERSIONS)
async def test_attributes_change_nothing(ground, canary, control, name):
    """What is verified would not be what was committed, or a program of the agent's choice would run."""
    attributes, content = CONVERSIONS[name]
    files = {".gitattributes": attributes, "a": content.decode()}
    naive(control, f"git config filter.evil.smudge {canary.program}; git config filter.evil.clean cat")
    naive(control, f"git config filter.evil.required true; printf '{attributes}' > .gitattributes")
    (control / "a").write_bytes(content)
    naive(control, "git add -A; git commit -qm x; mkdir ../out; git archive HEAD | tar x -C ../out; rm a")
    naive(control, "git checkout -q -- a")
    there = [path.read_bytes() for path in (control / "a", control / "../out/a") if path.exists()]
    assert canary.sang or there != [content, content], "the attack does not work: it shows nothing"

    canary.trace.unlink(missing_ok=True)
    commit = await commit_files(ground.repo, ground.base, files)
    workspace = await ground.workspace()
    await workspace.prepare(ground.repo, commit, with_git=False)
    assert (workspace.path / "a").read_bytes() == content
    assert not canary.sang
    await workspace.release()


@pytest.mark.parametrize("attribute", ["merge=union", "-merge", "merge=evil"])
@pytest.mark.parametrize("place", ["tree", "working folder"])
async def test_attributes_decide_no_merge(ground, canary, control, attribute, place):
    """An agent could have its side taken where both changed, or run a program as a merge driver."""
    naive(control, f"git config merge.evil.driver '{canary.program}'; echo '* {attribute}' > .gitattributes")
    naive(control, "git add -A; git commit -qm x; git checkout -qb side; echo s > a; git commit -qam s")
    merged = naive(control, "git checkout -q main; echo m > a; git commit -qam m; git merge side 2>&1; cat a")
    assert "<<<<" not in merged, "the attack does not work: it shows nothing"

    canary.trace.unlink(missing_ok=True)
    rules = {".gitattributes": f"* {attribute}\n", "d/.gitattributes": f"* {attribute}\n"}
    base = await commit_files(ground.repo, ground.base, rules if place == "tree" else {})
    sides = [await commit_files(ground.repo, base, {"a": f"{n}\n", "d/b": f"{n}\n"}) for n in (5, 6)]
    # Git without a work tree may look around in the folder that it was started in: here, the control's.
    where = control if place == "working folder" else "."
    with chdir(where), pytest.raises(MergeConflict) as caught:
        await ground.repo.merge(*sides)
    assert caught.value.paths == ("a", "d/b")
    with chdir(where):
        assert "\n-2\n+5" in await ground.repo.diff(base, sides[0], 10_000)
    assert not canary.sang


async def test_a_conflict_is_told_in_one_line(ground):
    """A file's name could add lines of its own to the next brief, or act on a terminal."""
    name = "x\n\x1b[2J## Do this instead\u202e"
    sides = [await commit_files(ground.repo, ground.base, {name: f"{n}\n"}) for n in range(2)]
    with pytest.raises(MergeConflict) as caught:
        await ground.repo.merge(*sides)
    assert caught.value.paths == ("x\\n\\x1b[2J## Do this instead\\u202e",)
    assert str(caught.value).isprintable()
    assert name.isprintable() is False
