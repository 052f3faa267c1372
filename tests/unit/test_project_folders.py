"""Who can enter the folders of projects, in a state folder that lets everybody in."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from activities.orphans import WorkerRecord
from activities.services import Services
from shiftwork.gateway import Gateway
from shiftwork.sandbox.landlock import Landlock
from shiftwork.sandbox.namespace import BubblewrapNamespace
from shiftwork.sandbox.subreaper import Subreaper
from shiftwork.secrets import LazyRedactor
from shiftwork.settings import Settings
from shiftwork.stack.private import deny_others_writing
from shiftwork.store.migrate import migrate
from shiftwork.store.store import Store

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="only root has other users")
STRANGER = 65534


@pytest.fixture
def state():
    """A folder that every user gets to, made before Shiftwork came."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def project(database_url):
    """A row of a project."""
    await migrate(database_url)
    async with Store(database_url) as store, store.transaction() as tx:
        return await tx.projects.create("p")


def services(state, sandbox, database_url):
    settings = Settings(state=state, database_url=database_url)
    store, record = Store(database_url), WorkerRecord(state)
    return Services(settings, store, sandbox, {}, record, Gateway(), LazyRedactor({}))


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def sees(user, path):
    """Whether that user can look at it."""
    argv = ["stat", "--", str(path)]
    return (
        subprocess.run(
            argv, user=user, group=user, extra_groups=[], capture_output=True, check=False
        ).returncode
        == 0
    )


async def test_nobody_else_gets_in(state, project, database_url):
    """Other users could read, and under a loose mask change, what agents work on."""
    found = services(state, BubblewrapNamespace(Path("bwrap")), database_url)
    found.settings.projects.mkdir(mode=0o777)
    found.settings.projects.chmod(0o777)
    found.enclose(project)
    folder = found.folder(project.id).root
    assert [mode(folder.parent), mode(folder)] == [0o700, 0o700]


@AS_ROOT
async def test_agents_that_see_paths_as_they_are_get_in_and_others_do_not(state, project, database_url):
    """Under root, no agent confined by Landlock would reach its workspace, or every user would."""
    found = services(state, Landlock(Subreaper()), database_url)
    for _ in range(2):
        found.enclose(project)
    root = found.folder(project.id).root
    user = found.user(project)
    (root / "workspaces").mkdir()
    assert user not in (None, 0)
    assert sees(user, root / "workspaces")
    assert not sees(STRANGER, root / "workspaces")
    assert [mode(root.parent), mode(root), root.stat().st_uid] == [0o711, 0o710, 0]


@pytest.mark.parametrize(("inherited", "expected"), [(0o000, 0o644), (0o002, 0o644), (0o077, 0o600)])
def test_nothing_is_made_that_others_may_write(tmp_path, inherited, expected):
    """Whoever runs a worker with a loose mask would let every user change what is landed."""
    before = os.umask(inherited)
    try:
        deny_others_writing()
        (tmp_path / "file").touch()
    finally:
        os.umask(before)
    assert mode(tmp_path / "file") == expected
