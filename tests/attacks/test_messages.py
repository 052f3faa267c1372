"""What runs in a folder leaves nothing for what runs there next: attempts, candidates, features."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shiftwork.contracts.feature import VerificationStep
from shiftwork.repository.files import remove_tree
from shiftwork.sandbox.choose import choose_sandbox
from shiftwork.store.rows import FeatureRow
from shiftwork.verification.landing import LandingVerifier, first_failure
from shiftwork.verification.setup import SetupCache
from shiftwork.verification.shell import Shell
from shiftwork.verification.steps import StepRunner
from tests.attacks.messages import MESSAGES, Message
from tests.attacks.support import FILES


def restore_contents(folder: Path) -> None:
    """Write what differs in a folder, and remove what does not belong there."""
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_file() and not name.startswith(".git/") and name not in FILES:
            path.unlink()
    for name, text in FILES.items():
        if (folder / name).read_text() != text:
            (folder / name).write_text(text)


@pytest.fixture(params=MESSAGES)
def message(request, control) -> Iterator[Message]:
    """One that outlives what a harness without defences does to use a folder again."""
    message = MESSAGES[request.param]
    if message.root_only and os.geteuid() != 0:
        pytest.skip("only root can leave it")
    try:
        message.leave(control)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this file system carries no such message")
    restore_contents(control)
    if request.param == "size of a folder" and not message.found(control):
        pytest.skip("folders of this file system shrink")
    assert message.found(control), "the attack does not work: it shows nothing"
    return message


@pytest.mark.parametrize("with_git", [True, False])
async def test_the_next_attempt_finds_nothing(ground, message, with_git):
    """What an attempt did to a file would cripple later sessions, or tell them something."""
    workspace = await ground.workspace()
    (workspace.path / ".git").mkdir(exist_ok=True)
    message.leave(workspace.path)
    await ground.take(workspace)
    await workspace.release()
    again = await ground.pool.acquire(f"{workspace.name}-next")
    await again.prepare(ground.repo, ground.base, with_git=with_git)
    assert not message.found(again.path)
    for name, text in FILES.items():
        assert (again.path / name).read_text() == text
        (again.path / name).write_text("it can be changed")
        (again.path / name).with_name("new").write_text("and so can its folder")
        (again.path / name).with_name("new").read_text()
    await again.release()


async def test_who_judges_finds_nothing(ground, message):
    """What a candidate left on its files would pass the steps of the next, or of another feature."""
    attempt = await ground.workspace()
    message.leave(attempt.path)
    await attempt.release()
    judge = await ground.pool.acquire(f"{attempt.name}-judge", to_judge=True)
    await judge.prepare(ground.repo, ground.base, with_git=True)
    assert not message.found(judge.path)
    message.leave(judge.path)
    await judge.prepare(ground.repo, ground.base, with_git=True)
    assert not message.found(judge.path)
    await judge.release()
    assert not judge.path.parent.exists()


LEAVE = """
import os
open("new", "w").close()
os.utime("a", (86400, 86400))
os.utime("d", (86400, 86400))
try:
    os.setxattr("a", "user.passed", b"1")
except OSError:
    pass
"""
FIND = """
import os, sys
left = [name for name in ("a", "d") if os.stat(name).st_mtime == 86400]
left += [name for name in ("a",) if hasattr(os, "listxattr") and "user.passed" in os.listxattr(name)]
sys.exit(0 if left else 1)
"""


def feature(number: int, code: str) -> FeatureRow:
    """A feature with one step, which runs this code."""
    return FeatureRow.model_construct(
        id=number,
        name=f"f{number}",
        verification_steps=(VerificationStep(command=f"python3 -c '{code}'"),),
    )


async def test_features_leave_each_other_nothing(ground, tmp_path):
    """A step of one feature would have that of another pass, which then counts as done."""
    shell = Shell(choose_sandbox())
    steps = StepRunner(shell, 20)
    judge = await ground.pool.acquire("features", to_judge=True)

    async def forget(*_: object) -> None:
        pass

    verifier = LandingVerifier(
        repository=ground.repo,
        workspace=judge,
        scratch=tmp_path / "run" / "scratch",
        setup=SetupCache(tmp_path / "setup", shell),
        setup_commands=(),
        steps=steps,
        record=forget,
    )
    left = await verifier.check(feature(1, LEAVE), ground.base)
    assert first_failure(left) is None, left
    found = await steps.run(feature(2, FIND), judge.path, tmp_path / "run" / "control")
    assert first_failure(found) is None, "the attack does not work: it shows nothing"
    assert first_failure(await verifier.check(feature(2, FIND), ground.base)) is not None
    await judge.release()


async def test_what_a_dead_judge_left_is_removed(ground):
    """A folder in which steps ran would be given to an agent, or lie around for ever."""
    name = "dead"
    judge = await ground.pool.acquire(name, to_judge=True)
    await judge.prepare(ground.repo, ground.base, with_git=False)
    await ground.pool.reclaim(name).release()
    assert not judge.path.parent.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can forbid itself to change a folder")
@pytest.mark.parametrize("flag", ["i", "a"])
def test_a_closed_folder_that_may_not_change_is_removed(tmp_path: Path, flag: str) -> None:
    """It would stay for ever, and keep the workspace that it lies in from being used again."""
    folder = tmp_path / "folder"
    (folder / "closed").mkdir(parents=True)
    (folder / "closed/file").touch()
    (folder / "closed").chmod(0)
    if subprocess.run(["chattr", f"+{flag}", folder / "closed"], capture_output=True, check=False).returncode:
        pytest.skip("this file system has no such attributes")
    with pytest.raises(PermissionError):
        (folder / "closed").chmod(0o700)
    remove_tree(folder)
    assert not folder.exists()
