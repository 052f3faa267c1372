"""Set-up commands: run once, kept by what they depend on, laid out without leaving the checkout."""

from pathlib import Path

import pytest

from shiftwork.contracts.plan import SetupCommand
from shiftwork.contracts.sandbox import SandboxOptions
from shiftwork.repository.files import remove_tree
from shiftwork.sandbox.choose import choose_sandbox
from shiftwork.sandbox.user import choose_user
from shiftwork.verification.setup import SetupCache, SetupFailed
from shiftwork.verification.shell import Shell


class Place:
    """A cache, and checkouts to prepare with it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cache = SetupCache(
            root / "cache", Shell(choose_sandbox(), SandboxOptions(writable=(str(root),)))
        )
        self._checkouts = 0

    async def prepare(
        self, *commands: SetupCommand, unlanded: str = "", **files: str
    ) -> tuple[Path, tuple[str, ...]]:
        """Prepare a fresh checkout; it, and what set-up made in it."""
        self._checkouts += 1
        checkout = self.root / f"checkout{self._checkouts}"
        checkout.mkdir()
        for name, text in files.items():
            (checkout / name).write_text(text)
        made = await self.cache.prepare(commands, checkout, self.root / "scratch", unlanded=unlanded)
        return checkout, made

    @property
    def count(self) -> int:
        """How often the counting command ran."""
        return len((self.root / "count").read_text().splitlines())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def counting(place: Place, run: str, **more) -> SetupCommand:
    return SetupCommand(run=f"echo x >> {place.root}/count; {run}", **more)


async def test_a_command_runs_once_for_many_checkouts(place) -> None:
    """Set-up paid for with every checkout, or a checkout without what it made."""
    command = counting(place, "mkdir -p deps/sub && echo lib > deps/sub/lib && ln -s sub/lib deps/link")
    for _ in range(3):
        checkout, made = await place.prepare(command)
        assert made == ("deps",)
        assert (checkout / "deps/sub/lib").read_text() == "lib\n"
        assert (checkout / "deps/link").readlink() == Path("sub/lib")
    assert place.count == 1


async def test_what_is_not_on_main_furnishes_nobody_else(place) -> None:
    """A session whose set-up writes a test program that always says yes, for all sessions after it."""
    command = counting(place, "sh build.sh", outputs=("out",))
    poisoned, _ = await place.prepare(command, unlanded="c1", **{"build.sh": "echo evil > out"})
    again, _ = await place.prepare(command, unlanded="c1", **{"build.sh": "echo not run > out"})
    honest, _ = await place.prepare(command, **{"build.sh": "echo good > out"})
    later, _ = await place.prepare(command, unlanded="c2", **{"build.sh": "echo evil > out"})
    texts = [(checkout / "out").read_text().strip() for checkout in (poisoned, again, honest, later)]
    assert texts == ["evil", "evil", "good", "good"]
    await place.cache.forget("c1")
    assert not (place.root / "cache" / "unlanded" / "c1").exists()


async def test_only_declared_outputs_are_kept(place) -> None:
    """A command's litter that is copied into every checkout."""
    command = counting(place, "echo a > wanted; echo b > litter", outputs=("wanted", "missing"))
    await place.prepare(command)
    checkout, made = await place.prepare(command)
    assert made == ("wanted",)
    assert [path.name for path in checkout.iterdir()] == ["wanted"]


async def test_changed_inputs_run_it_again(place) -> None:
    """Dependencies of yesterday's lock file in today's checkout."""
    command = counting(place, "cp lock built", inputs=("lock",), outputs=("built",))
    await place.prepare(command, lock="1")
    checkout, _ = await place.prepare(command, lock="2", other="x")
    assert (checkout / "built").read_text() == "2"
    checkout, _ = await place.prepare(command, lock="1")
    assert (checkout / "built").read_text() == "1"
    assert place.count == 2


async def test_a_command_depends_on_those_before_it(place) -> None:
    """The result of a second command that belongs to another first one."""
    second = counting(place, "cp one two", outputs=("two",))
    for text in ("a", "b", "a"):
        checkout, made = await place.prepare(SetupCommand(run=f"echo {text} > one"), second)
        assert (checkout / "two").read_text() == f"{text}\n"
        assert made == ("one", "two")
    assert place.count == 2


async def test_a_failure_is_explained_and_not_kept(place) -> None:
    """A set-up that failed once and counts as done, or nobody can say why it failed."""
    gate = place.root / "gate"
    command = SetupCommand(run=f"echo half > made; [ -e {gate} ] || {{ echo no network >&2; exit 9; }}")
    with pytest.raises(SetupFailed, match=r"set-up command .* exited 9: no network"):
        await place.prepare(command)
    gate.touch()
    _, made = await place.prepare(command)
    assert made == ("made",)
    with pytest.raises(SetupFailed, match=r"took longer than 0\.3 s"):
        await place.prepare(SetupCommand(run="sleep 60", timeout=0.3))


async def test_outputs_never_leave_the_checkout(place, tmp_path) -> None:
    """A committed symbolic link through which set-up writes, deletes or reads somebody's own files."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "lib").write_text("precious")
    command = SetupCommand(run="[ -e deps ] || { mkdir deps; echo lib > deps/lib; }", outputs=("deps/lib",))
    await place.prepare(command)
    trap = tmp_path / "trap"
    trap.mkdir()
    (trap / "deps").symlink_to(outside)
    with pytest.raises(SetupFailed, match="leads through the symbolic link 'deps'"):
        await place.cache.prepare([command], trap, tmp_path / "scratch")
    fresh = SetupCache(tmp_path / "other", Shell(choose_sandbox(), SandboxOptions(writable=(str(tmp_path),))))
    with pytest.raises(SetupFailed, match="leads through the symbolic link 'deps'"):
        await fresh.prepare([command], trap, tmp_path / "scratch")
    assert (outside / "lib").read_text() == "precious"


@pytest.mark.parametrize("obstacle", ["deps", "deps/lib"])
async def test_what_stands_in_the_way_is_explained(place, tmp_path, obstacle) -> None:
    """A checkout with a file where a folder belongs that is tried again for ever."""
    command = SetupCommand(run="mkdir -p deps/lib; echo x > deps/lib/x", outputs=("deps/lib/x",))
    await place.prepare(command)
    blocked = tmp_path / "blocked"
    (blocked / obstacle).parent.mkdir(parents=True)
    (blocked / obstacle).write_text("a file")
    with pytest.raises(SetupFailed, match="can't be kept or laid out"):
        await place.cache.prepare([command], blocked, tmp_path / "scratch")


async def test_a_pipe_among_the_outputs_is_explained(place) -> None:
    """A named pipe that the harness waits on for ever."""
    with pytest.raises(SetupFailed, match="can't be kept or laid out"):
        await place.prepare(SetupCommand(run="mkdir out; mkfifo out/pipe", outputs=("out",)))


async def test_a_name_with_a_line_break_leads_nowhere(place) -> None:
    """An agent's set-up that has the harness, as root, remove any folder of the machine."""
    victim = place.root / "victim"
    (victim / "inside").mkdir(parents=True)
    code = f"import os; os.makedirs('x\\n{victim}'); open('x', 'w')"
    command = SetupCommand(run=f'python3 -c "{code}"')
    for _ in range(2):
        with pytest.raises(SetupFailed, match="control characters"):
            await place.prepare(command)
    with pytest.raises(ValueError, match="control characters"):
        SetupCommand(run="true", outputs=(f"x\n{victim}",))
    assert (victim / "inside").is_dir()


@pytest.mark.skipif(choose_user(Path("/")) is None, reason="only root's commands run as another user")
async def test_what_was_committed_is_not_made_by_set_up(tmp_path) -> None:
    """A session's work that is left out of its snapshot, because a new owner made it look new."""
    shell = Shell(choose_sandbox(), user=choose_user(tmp_path))
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "committed.py").write_text("x")
    made = await SetupCache(tmp_path / "cache", shell).prepare(
        [SetupCommand(run="mkdir out; echo 1 > out/made")], checkout, tmp_path / "run" / "scratch"
    )
    assert made == ("out",)


async def test_folders_nested_too_deeply_fail_the_set_up(place) -> None:
    """A session that is tried again for ever, because what its set-up made can't be copied."""
    code = "import os; [(os.mkdir('d'), os.chdir('d')) for _ in range(1500)]"
    try:
        with pytest.raises(SetupFailed):
            await place.prepare(SetupCommand(run=f'python3 -c "{code}"', outputs=("d",)))
    finally:
        # What tidies up after tests can't cope with them either.
        remove_tree(place.root / "checkout1")
        remove_tree(place.root / "cache")
