"""A repository that an agent wrote: plain git runs commands from it, the harness runs none."""

from pathlib import Path

import pytest

from tests.attacks.git_commands import VECTORS, Vector
from tests.attacks.support import Stopwatch, naive


def plant(vector: Vector, root: Path, evil: Path) -> None:
    """Write into a repository what the attack needs; done by the agent, before the canary is there."""

    def filled(text: str) -> str:
        return text.replace("EVIL", str(evil)).replace("HERE", str(root))

    for name, text in (vector.files or {}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(filled(text))
    for hook in vector.hooks:
        (root / ".git/hooks").mkdir(exist_ok=True)
        (root / ".git/hooks" / hook).symlink_to(evil)
    with (root / ".git/config").open("a") as config:
        config.write(filled(vector.config))
    if vector.prepare:
        naive(root, filled(vector.prepare))


@pytest.mark.parametrize("name", VECTORS)
async def test_nothing_is_run(ground, canary, control, name):
    """An agent's repository would run commands with the harness's rights, outside of its sandbox."""
    vector = VECTORS[name]
    plant(vector, control, canary.program)
    canary.trace.unlink(missing_ok=True)
    naive(control, vector.naive, terminal=vector.terminal)
    assert canary.sang, "the attack does not work: it shows nothing"

    workspace = await ground.workspace()
    plant(vector, workspace.path, canary.program)
    canary.trace.unlink(missing_ok=True)
    (workspace.path / "new").write_text("work")
    watch = Stopwatch()
    taken = await ground.take(workspace)
    await workspace.prepare(ground.repo, taken.commit, with_git=True)
    await ground.repo.diff(ground.base, taken.commit, 100_000)
    assert "new" in await ground.repo.changed_paths(ground.base, taken.commit)
    await ground.repo.merge(ground.other, taken.commit)
    await workspace.release()
    assert not canary.sang
    assert watch.seconds < 60
