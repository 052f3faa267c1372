"""Work that git would miss, change or wait for ever on: a snapshot holds it byte for byte."""

import subprocess

import pytest

from tests.attacks.hidden_work import HIDINGS
from tests.attacks.support import Stopwatch, naive


def kept(control, hiding) -> bool:
    """Whether naive git has committed the file as it is."""
    try:
        naive(control, "git add -A; git commit -qm x; :", timeout=0.6)
    except TimeoutError:
        return False
    shown = subprocess.run(
        ["git", "--git-dir=.git", "ls-tree", "HEAD", hiding.path],
        cwd=control,
        capture_output=True,
        check=False,
    )
    content = subprocess.run(
        ["git", "--git-dir=.git", "cat-file", "blob", f"HEAD:{hiding.path}"],
        cwd=control,
        capture_output=True,
        check=False,
    )
    return content.stdout == hiding.content and shown.stdout.startswith(hiding.mode.encode())


@pytest.mark.parametrize("name", HIDINGS)
async def test_work_is_kept_as_it_is(ground, control, name):
    """An agent's work would be lost or changed without anybody noticing, or the harness would hang."""
    hiding = HIDINGS[name]
    naive(control, hiding.script)
    assert not kept(control, hiding), "the attack does not work: it shows nothing"
    workspace = await ground.workspace()
    naive(workspace.path, hiding.script)
    watch = Stopwatch()
    taken = await ground.take(workspace)
    assert (await ground.content(taken.commit))[hiding.path] == (hiding.mode, hiding.content)
    await workspace.prepare(ground.repo, ground.base, with_git=True)
    assert naive(workspace.path, "git status --porcelain") == ""
    await workspace.release()
    assert watch.seconds < 60
