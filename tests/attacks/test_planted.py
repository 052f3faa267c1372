"""What an agent may leave in its folder: it is stored plainly, left out and named, or refused by name."""

import os
import re

import pytest

from shiftwork.errors import SnapshotRefused
from shiftwork.repository.files import remove_tree
from tests.attacks.planted import PLANTED, SECRET
from tests.attacks.support import Stopwatch


@pytest.fixture
def outside(tmp_path):
    """A folder with what is not the agent's, and where copies go."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_bytes(SECRET)
    yield folder
    remove_tree(folder)


@pytest.fixture
def fresh(outside):
    """Another one, so that the control leaves nothing to the attack."""
    folder = outside.with_name("fresh")
    folder.mkdir()
    (folder / "secret").write_bytes(SECRET)
    return folder


@pytest.mark.parametrize("name", PLANTED)
async def test_it_is_stored_plainly_or_refused_by_name(ground, control, outside, fresh, name):
    """An agent could have the harness hang, store what is not the agent's, or fail in every later attempt."""
    attack = PLANTED[name]
    if attack.root_only and os.geteuid() != 0:
        pytest.skip("only root can plant this")
    attack.plant(control, outside)
    assert attack.control(control, outside), "the attack does not work: it shows nothing"

    workspace = await ground.workspace()
    attack.plant(workspace.path, fresh)
    watch = Stopwatch()
    if attack.refused:
        with pytest.raises(SnapshotRefused, match=re.escape(attack.refused)) as caught:
            await ground.take(workspace, limits=attack.limits)
        assert str(caught.value).isprintable()
    else:
        taken = await ground.take(workspace, limits=attack.limits)
        content = await ground.content(taken.commit)
        assert {path: content[path] for path in attack.stored} == attack.stored
        assert not content.keys() & set(attack.left_out)
        assert all(mode == "100644" or data != SECRET for mode, data in content.values())
        assert re.search(attack.notes, " ".join(taken.notes))
        changed = await ground.repo.changed_paths(ground.base, taken.commit)
        assert all(text.isprintable() for text in (*taken.notes, *changed))
        again = await ground.workspace()
        await again.prepare(ground.repo, taken.commit, with_git=True)
        await again.release()
    await workspace.prepare(ground.repo, ground.base, with_git=True)
    assert sorted(path.name for path in workspace.path.iterdir()) == [".git", "a", "d"]
    assert (fresh / "secret").read_bytes() == SECRET
    await workspace.release()
    assert watch.seconds < 60
