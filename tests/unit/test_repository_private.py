"""The private repository: creating, reading, landing exactly once, reverting."""

import asyncio
import os
import signal
import stat
import sys
import textwrap
from datetime import timedelta
from pathlib import Path

import pytest
from repository_support import AT, PROJECT, commit_files, git, info, land, pool, repo

from shiftwork.errors import InvalidInput, MergeConflict, PeopleCommitsAtRisk, RepositoryError
from shiftwork.repository import PrivateRepository

__all__ = ["pool", "repo"]


async def test_creating_twice_gives_the_same_start_everywhere(repo, tmp_path):
    """A project created again after a crash, or elsewhere, would begin with another commit."""
    tip = await repo.tip()
    await repo.create()
    other = PrivateRepository(tmp_path / "other.git")
    await other.create()
    assert tip == await repo.tip() == await other.tip()
    assert stat.S_IMODE(repo.path.stat().st_mode) == 0o700
    assert await repo.entries(tip) == {}


@pytest.mark.parametrize("leftover", ["config.lock", "HEAD.lock", "refs/heads/main.lock"])
async def test_a_creation_that_was_killed_is_finished(tmp_path, leftover):
    """A lock file left by a killed creation would make the project unusable for ever."""
    path = tmp_path / "r.git"
    git(tmp_path, "init", "-q", "--bare", str(path))
    (path / leftover).touch()
    private = PrivateRepository(path)
    await private.create()
    assert await private.tip()


async def test_the_same_session_always_makes_the_same_landing(repo):
    """A repeated verification would make a second commit that competes with the first."""
    base = await repo.tip()
    first = await commit_files(repo, base, {"a": "1"})
    assert first == await commit_files(repo, base, {"a": "1"})
    shown = git(repo.path, "log", "-1", "--format=%an %ae %at %cn %ct%n%B", first)
    assert shown.splitlines() == [
        f"Shiftwork shiftwork@localhost {int(AT.timestamp())} Shiftwork {int(AT.timestamp())}",
        "Add feature 1",
        "",
        "Shiftwork-Project: p1",
        "Shiftwork-Session: 1",
        "Shiftwork-Feature: Feature 1",
    ]


async def test_names_and_bodies_cannot_forge_trailers(repo):
    """A feature called like a trailer would make another session look landed."""
    base = await repo.tip()
    evil = info(
        7,
        feature="x\nShiftwork-Session: 1",
        subject="s\n\nShiftwork-Session: 2",
        body="text\n\nShiftwork-Project: p1\nShiftwork-Session: 3\n",
    )
    landing = await repo.make_landing(await repo.tree_of(base), base, evil)
    assert await repo.integrate(base, landing, PROJECT, 7) == landing
    for forged in (1, 2, 3):
        assert await repo.landed(base, PROJECT, forged) is None
    assert [entry.session for entry in await repo.landings(PROJECT)] == [7]


async def test_another_project_s_landings_are_not_this_one_s(repo):
    """A feature would pass because a project that shares the repository has one of the same name."""
    await land(repo, {"a": "1"}, session=3)
    assert await repo.landings("another") == []


async def test_a_session_lands_once(repo):
    """A repeated integrate would put a session's work on main twice."""
    base = await repo.tip()
    landing = await commit_files(repo, base, {"a": "1"}, session=1)
    assert await repo.integrate(base, landing, PROJECT, 1) == landing
    assert await repo.integrate(base, landing, PROJECT, 1) == landing
    later = await land(repo, {"b": "2"}, session=2)
    again = await commit_files(repo, base, {"a": "other"}, session=1)
    assert await repo.integrate(base, again, PROJECT, 1) == landing
    assert await repo.tip() == later


async def test_a_mailmap_hides_no_landing(repo):
    """An agent could rename the harness in `.mailmap`: its landings would be gone, and made a second time."""
    base = await repo.tip()
    first = await land(repo, {"a": "1"}, 1)
    await land(repo, {".mailmap": "Mallory <m@example.com> Shiftwork <shiftwork@localhost>\n"}, 2)
    assert await repo.landed(base, PROJECT, 1) == first
    assert [each.session for each in await repo.landings(PROJECT)] == [1, 2]
    # Plain git reads the file.
    renamed = git(repo.path, "log", "-1", "--format=%cn", "--committer=Shiftwork", "main")
    assert renamed == ""


async def test_a_landing_for_an_older_main_is_refused(repo):
    """Work that was verified on another tip would land unverified."""
    base = await repo.tip()
    stale = await commit_files(repo, base, {"a": "1"}, session=1)
    await land(repo, {"b": "2"}, session=2)
    assert await repo.integrate(base, stale, PROJECT, 1) is None


async def test_another_projects_session_is_not_ours(repo):
    """Two projects on one history would take each other's landings for their own."""
    base = await repo.tip()
    await land(repo, {"a": "1"}, session=1)
    assert await repo.landed(base, "other", 1) is None


async def test_a_stale_ref_lock_does_not_stop_landing(repo):
    """A git killed while moving main would stop the project for ever."""
    (repo.path / "refs/heads/main.lock").touch()
    (repo.path / "packed-refs.lock").touch()
    assert await land(repo, {"a": "1"}, session=1) == await repo.tip()


async def test_two_processes_that_race_land_one_each_time(repo, tmp_path):
    """Two workers that integrate at once would lose one landing or land both on one base."""
    start = await repo.tip()
    script = textwrap.dedent("""
        import asyncio, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[3])
        from repository_support import commit_files
        from shiftwork.repository import PrivateRepository
        async def main():
            repo = PrivateRepository(Path(sys.argv[1]))
            for n in range(4):
                session = int(sys.argv[2]) + n
                while True:
                    base = await repo.tip()
                    made = await commit_files(repo, base, {f"f{session}": "x"}, session)
                    if await repo.integrate(base, made, "p1", session):
                        break
        asyncio.run(main())
    """)
    here = str(Path(__file__).parent)
    arguments = [sys.executable, "-c", script, str(repo.path)]
    children = [await asyncio.create_subprocess_exec(*arguments, first, here) for first in ("100", "200")]
    assert [await child.wait() for child in children] == [0, 0]
    sessions = sorted(entry.session for entry in await repo.landings(PROJECT, start))
    assert sessions == [100, 101, 102, 103, 200, 201, 202, 203]
    assert len(await repo.entries(await repo.tip())) == 8


@pytest.mark.parametrize("delay", [0.12, 0.2, 0.31, 0.4])
async def test_a_killed_worker_leaves_nothing_that_prevents_the_next(repo, tmp_path, delay):
    """A worker killed while committing would lose landings, repeat them, or leave the repository stuck."""
    start = await repo.tip()
    script = textwrap.dedent("""
        import asyncio, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        from repository_support import commit_files
        from shiftwork.repository import PrivateRepository, WorkspacePool
        async def main():
            repo = PrivateRepository(Path(sys.argv[1]))
            pool = WorkspacePool(Path(sys.argv[1]).parent / "workspaces")
            print("ready", flush=True)
            session = 0
            while True:
                session += 1
                base = await repo.tip()
                workspace = await pool.acquire(f"s{session}-a1")
                await workspace.prepare(repo, base, with_git=True)
                (workspace.path / f"f{session}").write_text("x")
                taken = await repo.snapshot(workspace, base, f"s{session}-a1")
                made = await commit_files(repo, base, {f"f{session}": "x"}, session)
                print("integrating", session, base, made, flush=True)
                assert await repo.integrate(base, made, "p1", session) == made
                print("landed", session, flush=True)
                await workspace.release()
        asyncio.run(main())
    """)
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", script, str(repo.path), str(Path(__file__).parent)),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    await child.stdout.readline()
    await asyncio.sleep(delay)
    os.kill(child.pid, signal.SIGKILL)
    said = (await child.stdout.read()).decode().split("\n")
    await child.wait()
    announced = [line.split() for line in said if line.startswith("integrating") and len(line.split()) == 4]
    landed = {int(line.split()[1]) for line in said if line.startswith("landed")}
    for _, session, base, made in announced:
        assert await repo.integrate(base, made, PROJECT, int(session)) == made
    sessions = [entry.session for entry in await repo.landings(PROJECT, start)]
    assert sessions == sorted(set(sessions))
    assert landed <= set(sessions)
    await land(repo, {"after": "x"}, session=10_000)
    assert git(repo.path, "fsck", "--strict", check=False).count("error") == 0


async def test_a_merge_takes_both_sides(repo):
    """Work of parallel sessions would overwrite each other."""
    base = await repo.tip()
    ours = await commit_files(repo, base, {"a": "1"}, session=1)
    theirs = await commit_files(repo, base, {"b": "2"}, session=2)
    assert set(await repo.entries(await repo.merge(ours, theirs))) == {"a", "b"}
    assert await repo.merge(base, theirs) == await repo.tree_of(theirs)
    assert await repo.merge(ours, base) == await repo.tree_of(ours)


async def test_a_conflict_names_its_files(repo):
    """The next brief could not say what to reconcile."""
    base = await repo.tip()
    ours = await commit_files(repo, base, {"a b": "1", "same": "x"}, session=1)
    theirs = await commit_files(repo, base, {"a b": "2", "same": "x"}, session=2)
    with pytest.raises(MergeConflict, match="'a b' changed on both sides") as caught:
        await repo.merge(ours, theirs)
    assert caught.value.paths == ("a b",)


async def test_an_overlay_replaces_what_stands_in_its_way(repo):
    """A session could keep the harness's test out by putting a file where its folder belongs."""
    base = await commit_files(
        repo, await repo.tip(), {"tests": "a file", "x/y/z": "deep", "same": "s", "m": "1"}
    )
    files = {"tests/unit/t.py": "ours", "x": "ours", "same": "s", "m": "2", "new/n": "n"}
    laid = await repo.overlay(base, files)
    assert laid.replaced == ("m", "tests", "x/y/z")
    entries = await repo.entries(laid.tree)
    assert set(entries) == set(files)
    for path, text in files.items():
        assert (await repo.read_blob(entries[path].oid)).decode() == text
    assert (await repo.overlay(laid.tree, files)).tree == laid.tree
    assert git(repo.path, "fsck", "--strict", check=False).count("error") == 0


@pytest.mark.parametrize("path", ["../x", "/x", ".git/hooks/x", "a/.GIT/x", "a/../../x", "git~1/x", ""])
async def test_an_overlay_stays_inside(repo, path):
    """A plan could write outside of the checkout or into its `.git`."""
    with pytest.raises(InvalidInput):
        await repo.overlay(await repo.tip(), {path: "x"})


async def test_reading_is_bounded_and_complete(repo):
    """A brief would grow with the size of a change."""
    base = await repo.tip()
    landing = await land(repo, {"a": "line\n" * 10_000, "é": "x"}, session=3)
    assert await repo.changed_paths(base, landing) == ("a", "é")
    assert len(await repo.diff(base, landing, limit=5_000)) == 5_000
    assert "+line" in await repo.diff(base, landing, limit=1_000_000)
    assert [commit.subject for commit in await repo.log(5)] == ["Add feature 3", "Start"]
    assert (await repo.landings(PROJECT))[0].feature == "Feature 3"
    with pytest.raises(RepositoryError, match="no commit 'nothing'"):
        await repo.resolve("nothing")


async def test_a_revert_goes_forward_and_happens_once(repo):
    """Going back would destroy commits, or happen twice when repeated after a crash."""
    target = await land(repo, {"a": "1"}, session=1)
    second = await land(repo, {"a": "2", "b": "2"}, session=2)
    made = await repo.revert(target, "update-1", AT, consent=False)
    assert await repo.tree_of(await repo.tip()) == await repo.tree_of(target)
    assert made.undone == (second,)
    third = await land(repo, {"c": "3"}, session=3)
    assert await repo.revert(target, "update-1", AT, consent=False) == made
    assert await repo.tip() == third
    again = await repo.revert(target, "update-2", AT + timedelta(1), consent=False)
    assert again.undone == (third, made.commit, second)


async def test_what_an_undone_revert_undid_stands_again(repo):
    """What was decided for work that is on main would count as undone, or the other way round."""
    first, second, third = [await land(repo, {"a": str(number)}, session=number) for number in (1, 2, 3)]
    back = await repo.revert(second, "update-1", AT, consent=False)
    assert back.gone == (third,)
    fourth = await land(repo, {"b": "4"}, session=4)
    again = await repo.revert(third, "update-2", AT, consent=False)
    assert again.gone == (fourth, back.commit)
    undone = await repo.revert(back.commit, "update-3", AT, consent=False)
    assert undone.gone == (again.commit, fourth, third)
    assert (await repo.revert(again.commit, "update-4", AT, consent=False)).gone == (
        *(undone.commit, fourth, back.commit),
    )
    assert first not in undone.gone


async def test_a_revert_needs_a_state_of_main(repo):
    """A candidate's commit could be brought onto main unverified."""
    base = await repo.tip()
    await land(repo, {"a": "1"}, session=1)
    aside = await commit_files(repo, base, {"b": "1"}, session=2)
    with pytest.raises(RepositoryError, match="not a state that main has been in"):
        await repo.revert(aside, "u", AT, consent=True)


async def test_peoples_commits_are_undone_only_with_consent(repo, tmp_path):
    """A revert would silently undo what people did."""
    target = await land(repo, {"a": "1"}, session=1)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(repo.path), str(clone))
    (clone / "p").write_text("person")
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", "Mine")
    git(clone, "push", "-q", "origin", "HEAD:main")
    person = git(clone, "rev-parse", "HEAD")
    with pytest.raises(PeopleCommitsAtRisk) as caught:
        await repo.revert(target, "u", AT, consent=False)
    assert caught.value.commits == (person,)
    assert await repo.tip() == person
    made = await repo.revert(target, "u", AT, consent=True)
    assert [commit.commit for commit in made.people] == [person]
    assert [commit.subject for commit in await repo.people_commits(target, "refs/heads/main")] == ["Mine"]


async def test_a_person_who_keeps_our_message_has_not_landed_a_session(repo, tmp_path):
    """A cherry-picked landing would make its session look landed."""
    base = await repo.tip()
    landing = await commit_files(repo, base, {"a": "1"}, session=1)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(repo.path), str(clone))
    git(clone, "fetch", "-q", "origin")
    git(repo.path, "update-ref", "refs/heads/aside", landing)
    git(clone, "fetch", "-q", "origin", "aside")
    git(clone, "commit", "-q", "--allow-empty", "-m", "p")
    git(clone, "cherry-pick", landing)
    git(clone, "push", "-q", "origin", "HEAD:main")
    assert await repo.landed(base, PROJECT, 1) is None
    assert await repo.landings(PROJECT) == []
