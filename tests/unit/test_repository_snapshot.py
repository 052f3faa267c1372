"""Snapshots: what an agent left becomes a candidate; nothing it planted is run, followed or waited for."""

import os
from pathlib import Path

import pytest
from repository_support import changed, git, land, pool, repo

from shiftwork.errors import SnapshotRefused
from shiftwork.repository import SnapshotLimits

__all__ = ["pool", "repo"]


@pytest.fixture
async def prepared(repo, pool):
    """A workspace of a commit, and that commit."""
    base = await land(repo, {"a": "1", "d/b": "2", ".gitignore": "*.log\nbuild/\n"}, 1)
    workspace = await pool.acquire("s1-a1")
    await workspace.prepare(repo, base, with_git=True)
    return workspace, base


async def content(repo, taken) -> dict[str, bytes]:
    """Path and content of everything in a snapshot."""
    entries = await repo.entries(taken.commit)
    return {path: await repo.read_blob(entry.oid) for path, entry in entries.items() if entry.kind == "blob"}


async def test_a_candidate_is_what_the_agent_left(repo, prepared):
    """Work would be lost or changed on its way to main."""
    workspace, base = prepared
    (workspace.path / "a").write_bytes(b"2\r\n")
    (workspace.path / "d/b").unlink()
    (workspace.path / "new dir").mkdir()
    (workspace.path / "new dir/x.sh").write_text("run")
    (workspace.path / "new dir/x.sh").chmod(0o755)
    (workspace.path / "out").symlink_to("/etc/passwd")
    taken = await repo.snapshot(workspace, base, "s1-a1")
    assert await changed(repo, taken) == ("a", "d/b", "new dir/x.sh", "out")
    assert taken.notes == ()
    entries = await repo.entries(taken.commit)
    assert (entries["new dir/x.sh"].mode, entries["out"].mode) == ("100755", "120000")
    assert await content(repo, taken) == {
        ".gitignore": b"*.log\nbuild/\n",
        "a": b"2\r\n",
        "new dir/x.sh": b"run",
        "out": b"/etc/passwd",
    }
    assert (
        await repo.candidate("s1-a1")
        == taken.commit
        == (await repo.snapshot(workspace, base, "again")).commit
    )
    assert git(repo.path, "log", "-1", "--format=%P", taken.commit) == base


async def test_ignored_files_stay_out_and_tracked_ones_in(repo, prepared):
    """Build products would land, or a tracked file that a pattern matches would be deleted."""
    workspace, base = prepared
    (workspace.path / "x.log").write_text("noise")
    (workspace.path / "build").mkdir()
    (workspace.path / "build/o").write_text("noise")
    for noise in ("__pycache__/m.pyc", "node_modules/p/i.js", ".venv/bin/python", ".DS_Store"):
        (workspace.path / noise).parent.mkdir(parents=True, exist_ok=True)
        (workspace.path / noise).write_text("noise")
    (workspace.path / "d/.gitignore").write_text("b\nlocal\n")
    (workspace.path / "d/local").write_text("noise")
    (workspace.path / "local").write_text("taken")
    taken = await repo.snapshot(workspace, base, "s1-a1")
    assert await changed(repo, taken) == ("d/.gitignore", "local")
    assert "d/b" in await repo.entries(taken.commit)


async def test_removing_the_ignore_file_ignores_no_less(repo, prepared):
    """An agent that deletes `.gitignore` would flood the commit with what people ignore."""
    workspace, base = prepared
    (workspace.path / ".gitignore").unlink()
    (workspace.path / "secret.log").write_text("noise")
    taken = await repo.snapshot(workspace, base, "s1-a1")
    assert await changed(repo, taken) == (".gitignore",)


@pytest.mark.parametrize("kind", ["fifo", "symlink", "folder"])
async def test_an_ignore_file_that_is_none_is_not_waited_for(repo, prepared, kind):
    """A pipe named `.gitignore` would hang the harness for ever."""
    workspace, base = prepared
    path = workspace.path / ".gitignore"
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "symlink":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    (workspace.path / "x.log").write_text("noise")
    taken = await repo.snapshot(workspace, base, "s1-a1")
    assert "x.log" not in await changed(repo, taken)
    assert any(".gitignore" in note for note in taken.notes)


async def test_special_files_are_left_out_and_named(repo, prepared):
    """A pipe would hang the harness; one in place of a file would go unnoticed."""
    workspace, base = prepared
    os.mkfifo(workspace.path / "pipe")
    (workspace.path / "a").unlink()
    os.mkfifo(workspace.path / "a")
    taken = await repo.snapshot(workspace, base, "s1-a1")
    assert await changed(repo, taken) == ("a",)
    assert sum("neither a file" in note for note in taken.notes) == 2


async def test_nothing_the_agent_configured_is_run(repo, prepared, tmp_path):
    """Hooks, filters or a file system monitor of the agent would run with the harness's rights."""
    workspace, base = prepared
    ran = tmp_path / "ran"
    evil = tmp_path / "evil.sh"
    evil.write_text(f"#!/bin/sh\ntouch {ran}\ncat\n")
    evil.chmod(0o755)
    root = workspace.path
    (root / ".git/hooks").mkdir()
    for hook in ("post-index-change", "pre-commit", "reference-transaction", "post-checkout"):
        (root / ".git/hooks" / hook).symlink_to(evil)
    with (root / ".git/config").open("a") as config:
        config.write(f'[core]\n\tfsmonitor = {evil}\n[filter "evil"]\n\tclean = {evil}\n\tsmudge = {evil}\n')
    (root / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")
    taken = await repo.snapshot(workspace, base, "s1-a1")
    assert await changed(repo, taken) == (".gitattributes",)
    await workspace.prepare(repo, taken.commit, with_git=True)
    await repo.merge(base, taken.commit)
    await repo.diff(base, taken.commit, 10_000)
    assert not ran.exists()


@pytest.mark.parametrize("form", ["removed", "file", "link", "fifo"])
async def test_the_agents_git_folder_does_not_matter(repo, prepared, form, tmp_path):
    """A `.git` that points elsewhere would commit secrets from outside."""
    workspace, base = prepared
    path = workspace.path / ".git"
    path.rename(tmp_path / "moved")
    if form == "file":
        path.write_text(f"gitdir: {tmp_path / 'moved'}\n")
    elif form == "link":
        path.symlink_to(tmp_path / "moved")
    elif form == "fifo":
        os.mkfifo(path)
    (workspace.path / "new").write_text("x")
    assert await changed(repo, await repo.snapshot(workspace, base, "s1-a1")) == ("new",)
    await workspace.prepare(repo, base, with_git=True)
    assert git(workspace.path, "status", "--porcelain") == ""
    assert (tmp_path / "moved/HEAD").exists()


async def test_a_nested_repository_becomes_plain_files(repo, prepared):
    """The work inside a repository that an agent made in a subfolder would be lost."""
    workspace, base = prepared
    nested = workspace.path / "sub"
    nested.mkdir()
    git(nested, "init", "-q")
    (nested / "file").write_text("x")
    (workspace.path / "other").mkdir()
    (workspace.path / "other/.GIT").write_text("gitdir: elsewhere")
    (workspace.path / "git~1").write_text("x")
    taken = await repo.snapshot(workspace, base, "s1-a1")
    assert await changed(repo, taken) == ("sub/file",)
    assert [note.split("'")[1] for note in taken.notes] == ["git~1", "other/.GIT", "sub/.git"]


async def test_a_link_named_gitmodules_is_left_out(repo, prepared):
    """Git would refuse to check out the commit."""
    workspace, base = prepared
    (workspace.path / ".gitmodules").symlink_to("a")
    taken = await repo.snapshot(workspace, base, "s1-a1")
    assert taken.changed == 0
    assert len(taken.notes) == 1


async def test_what_is_too_much_is_refused_by_name(repo, prepared):
    """A sparse terabyte or a million files would fill the repository."""
    workspace, base = prepared
    with (workspace.path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(SnapshotRefused, match="'sparse' is 1,099,511,627,776 bytes") as caught:
        await repo.snapshot(workspace, base, "s1-a1")
    assert caught.value.paths == ("sparse",)
    (workspace.path / "sparse").unlink()
    for number in range(5):
        (workspace.path / f"n{number}").write_bytes(b"%d" % number * 10)
    for limits in (SnapshotLimits(files=4), SnapshotLimits(total_bytes=40), SnapshotLimits(visited=6)):
        with pytest.raises(SnapshotRefused):
            await repo.snapshot(workspace, base, "s1-a1", limits=limits)
    assert await repo.candidate("s1-a1") is None
    assert (await repo.snapshot(workspace, base, "s1-a1")).changed == 5


async def test_folders_nested_without_end_are_refused(repo, prepared):
    """A thousand nested folders would exhaust the harness's stack or descriptors."""
    workspace, base = prepared
    here = os.open(workspace.path, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("n", dir_fd=here)
        below = os.open("n", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    with pytest.raises(SnapshotRefused, match="nested more than"):
        await repo.snapshot(workspace, base, "s1-a1")


async def test_outputs_of_setup_stay_out(repo, prepared):
    """Dependencies that set-up installed would be committed, or tracked files under them removed."""
    workspace, base = prepared
    (workspace.path / "deps").mkdir()
    (workspace.path / "deps/lib").write_text("big")
    (workspace.path / "d/b").unlink()
    taken = await repo.snapshot(workspace, base, "s1-a1", exclude=["deps", "d"])
    assert taken.changed == 0


async def test_a_submodule_stays(repo, pool):
    """A project with submodules would lose them in the first session."""
    clone = Path(pool.folder.parent / "clone")
    base = await land(repo, {"a": "1"}, 1)
    git(pool.folder.parent, "clone", "-q", str(repo.path), str(clone))
    git(clone, "update-index", "--add", "--cacheinfo", f"160000,{base},sub")
    git(clone, "commit", "-qm", "submodule")
    git(clone, "push", "-q", "origin", "HEAD:main")
    commit = await repo.tip()
    workspace = await pool.acquire("s1-a1")
    await workspace.prepare(repo, commit, with_git=True)
    assert (workspace.path / "sub").is_dir()
    assert git(workspace.path, "status", "--porcelain") == ""
    (workspace.path / "sub/inside").write_text("x")
    taken = await repo.snapshot(workspace, commit, "s1-a1")
    assert taken.changed == 0
    assert "submodule" in taken.notes[0]
    (workspace.path / "sub/inside").unlink()
    (workspace.path / "sub").rmdir()
    assert (await repo.snapshot(workspace, commit, "s1-a1")).changed == 0


async def test_names_that_differ_in_case_are_mentioned(repo, prepared):
    """People on macOS would find one of two files missing and not know why."""
    workspace, base = prepared
    (workspace.path / "A").write_text("x")
    taken = await repo.snapshot(workspace, base, "s1-a1")
    assert await changed(repo, taken) == ("A",)
    assert "in case" in taken.notes[0]


async def test_a_file_may_become_a_folder_and_back(repo, prepared):
    """A restructuring would fail to be committed."""
    workspace, base = prepared
    (workspace.path / "a").unlink()
    (workspace.path / "a").mkdir()
    (workspace.path / "a/inner").write_text("x")
    (workspace.path / "d/b").unlink()
    (workspace.path / "d").rmdir()
    (workspace.path / "d").write_text("file")
    first = await repo.snapshot(workspace, base, "s1-a1")
    assert await changed(repo, first) == ("a", "a/inner", "d", "d/b")
    assert set(await repo.entries(first.commit)) == {".gitignore", "a/inner", "d"}
    for path in sorted(workspace.path.iterdir()):
        if path.name not in {".git", "a"}:
            path.unlink()
    (workspace.path / "a/inner").unlink()
    assert await content(repo, await repo.snapshot(workspace, base, "s1-a2")) == {}
