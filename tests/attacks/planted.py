"""What an agent may leave in its folder: how it is planted, and what a naive harness makes of it."""

import os
import shutil
import socket
import stat
import unicodedata
from collections.abc import Callable
from contextlib import chdir, suppress
from dataclasses import dataclass, field
from pathlib import Path

from shiftwork.repository import SnapshotLimits
from tests.attacks.support import naive

SECRET = b"the harness's secret"

Plant = Callable[[Path, Path], None]
"""Takes the folder, and a folder outside that holds `secret`."""


@dataclass(frozen=True, slots=True)
class Planted:
    """One attack.

    Attributes:
        plant: what the agent does.
        control: whether a naive harness suffers from it.
        stored: what the snapshot holds then, as mode and content by path.
        left_out: paths that it must not hold.
        notes: what its notes say.
        refused: what the refusal says; then there is no snapshot.
        limits: what it may hold.
        root_only: whether only root can plant it.
    """

    plant: Plant
    control: Callable[[Path, Path], bool]
    stored: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    notes: str = ""
    refused: str = ""
    limits: SnapshotLimits | None = None
    root_only: bool = False


def _reads_secret(name: str) -> Callable[[Path, Path], bool]:
    return lambda root, outside: (root / name).read_bytes() == SECRET


def _hangs(command: str) -> Callable[[Path, Path], bool]:
    def control(root: Path, outside: Path) -> bool:
        try:
            naive(root, command, timeout=0.3)
        except TimeoutError:
            return True
        return False

    return control


def _git_says(words: str, command: str) -> Callable[[Path, Path], bool]:
    return lambda root, outside: words in naive(root, command)


def _link(name: str, target: str) -> Plant:
    def plant(root: Path, outside: Path) -> None:
        path = root / name
        with suppress(FileNotFoundError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.symlink_to(target.replace("OUTSIDE", str(outside)))

    return plant


def _write(files: dict[str, bytes]) -> Plant:
    def plant(root: Path, outside: Path) -> None:
        for name, data in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)

    return plant


def _make(name: str, make: Callable[[str], object]) -> Plant:
    def plant(root: Path, outside: Path) -> None:
        with suppress(FileNotFoundError):
            (root / name).unlink()
        with chdir(root):
            make(name)

    return plant


def _listen(name: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)


def _device(number: int) -> Callable[[str], None]:
    return lambda name: os.mknod(name, 0o666 | stat.S_IFCHR, os.makedev(1, number))


def _sparse(root: Path, outside: Path) -> None:
    with (root / "x").open("wb") as file:
        file.truncate(1 << 40)


def _deep(root: Path, outside: Path) -> None:
    here = os.open(root, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("nested", dir_fd=here)
        below = os.open("nested", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def _walks_into_the_deep(root: Path, outside: Path) -> bool:
    try:
        shutil.copytree(root, outside / "copy", symlinks=True)
    except (RecursionError, OSError):
        return True
    return False


def _long(root: Path, outside: Path) -> None:
    here = os.open(root, os.O_RDONLY)
    for _ in range(18):
        os.mkdir("n" * 250, dir_fd=here)
        below = os.open("n" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("x", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


def _hard_link(name: str, *, owner: int | None = None) -> Plant:
    def plant(root: Path, outside: Path) -> None:
        os.link(outside / "secret", root / name)
        if owner is not None:
            os.chown(outside / "secret", owner, owner)
            (outside / "secret").chmod(0o600)

    return plant


def _mode(name: str, mode: int) -> Plant:
    def plant(root: Path, outside: Path) -> None:
        _write({name: b"x"})(root, outside)
        (root / name).chmod(mode)

    return plant


def _mode_stays(name: str, mode: int) -> Callable[[Path, Path], bool]:
    def control(root: Path, outside: Path) -> bool:
        shutil.copy2(root / name, outside / "copy")
        return stat.S_IMODE((outside / "copy").stat().st_mode) == mode

    return control


def _attributes(root: Path, outside: Path) -> None:
    _write({"x": b"x"})(root, outside)
    os.setxattr(root / "x", "user.evil", b"y" * 100)


def _attributes_stay(root: Path, outside: Path) -> bool:
    shutil.copy2(root / "x", outside / "copy")
    return os.listxattr(outside / "copy") == ["user.evil"]


def _git_poisoned(name: str) -> Callable[[Path, Path], bool]:
    """Whether naive git commits the name, or fails to commit anything because of it."""

    def control(root: Path, outside: Path) -> bool:
        (root / "work").write_text("x")
        naive(root, "git add -A && git commit -qm x")
        held = naive(root, "git ls-tree -r -z --name-only HEAD").split("\0")
        return "work" not in held or any(path.startswith(name) for path in held)

    return control


def _lines(root: Path, outside: Path) -> bool:
    """Whether a listing by lines shows a path that is not there."""
    shown = naive(root, "git -c core.quotePath=false ls-files -o -z | tr '\\0' '\\n'").splitlines()
    return any(not os.path.lexists(root / line) for line in shown)


def _not_text(root: Path, outside: Path) -> bool:
    try:
        "".join(map(str, root.iterdir())).encode()
    except UnicodeEncodeError:
        return True
    return False


def _spellings(*names: str) -> Callable[[Path, Path], bool]:
    return lambda root, outside: len({unicodedata.normalize("NFC", n.casefold()) for n in names}) == 1


def _link_and_folder(root: Path, outside: Path) -> None:
    _link("X", ".git/hooks")(root, outside)
    _write({"x/post-checkout": b"evil"})(root, outside)


def _modules(text: str) -> Plant:
    return _write({".gitmodules": text.encode()})


_FSCK = "git add -A; git commit -qm x; git fsck"

LINKS = {
    "link to a secret": Planted(
        _link("x", "OUTSIDE/secret"), _reads_secret("x"), notes="^$", left_out=("x/secret",)
    ),
    "relative link out": Planted(
        _link("x", "../../../../../../../../etc/passwd"),
        lambda root, _: b"root:" in (root / "x").read_bytes(),
        {"x": ("120000", b"../../../../../../../../etc/passwd")},
    ),
    "link to this process": Planted(
        _link("x", "/proc/self/environ"),
        lambda root, _: (root / "x").read_bytes() == Path("/proc/self/environ").read_bytes(),
        {"x": ("120000", b"/proc/self/environ")},
    ),
    "link to an endless file": Planted(
        _link("x", "/dev/zero"), _hangs("cat x > /dev/null"), {"x": ("120000", b"/dev/zero")}
    ),
    "link to a folder": Planted(_link("x", "OUTSIDE"), _reads_secret("x/secret"), left_out=("x/secret",)),
    "link in a tracked folder's place": Planted(
        _link("d", "OUTSIDE"), _reads_secret("d/secret"), left_out=("d/secret", "d/b")
    ),
    "link in a tracked file's place": Planted(_link("a", "OUTSIDE/secret"), _reads_secret("a")),
    "dangling link": Planted(
        _link("x", "none"), lambda root, _: not (root / "x").exists(), {"x": ("120000", b"none")}
    ),
    "link to itself": Planted(
        _link("x", "x"), lambda root, _: _raises(OSError, (root / "x").read_bytes), {"x": ("120000", b"x")}
    ),
    "link to its own folder": Planted(
        _link("x", "."), lambda root, _: (root / "x/x/x/x/a").exists(), {"x": ("120000", b".")}
    ),
    "link as `.gitignore`": Planted(
        _link(".gitignore", "OUTSIDE/secret"), _reads_secret(".gitignore"), notes="not followed"
    ),
    "link as `.gitattributes`": Planted(
        _link(".gitattributes", "OUTSIDE/secret"), _reads_secret(".gitattributes")
    ),
    "link as `.gitmodules`": Planted(
        _link(".gitmodules", "a"),
        _git_poisoned(".gitmodules"),
        notes="left out",
        left_out=(".gitmodules",),
    ),
    "link as `.GitModules`": Planted(
        _link(".GitModules", "a"),
        _git_poisoned(".GitModules"),
        notes="left out",
        left_out=(".GitModules",),
    ),
    "link as `gitmod~1`": Planted(
        _link("gitmod~1", "a"),
        _git_poisoned("gitmod~1"),
        notes="left out",
        left_out=("gitmod~1",),
    ),
    "hard link out": Planted(_hard_link("x"), _reads_secret("x"), {"x": ("100644", SECRET)}),
    "hard link to another user's file": Planted(
        _hard_link("x", owner=4242), _reads_secret("x"), refused="'x' is a hard link", root_only=True
    ),
}


def _raises(kind: type[Exception], call: Callable[[], object]) -> bool:
    try:
        call()
    except kind:
        return True
    return False


SPECIAL = {
    "pipe": Planted(_make("x", os.mkfifo), _hangs("cat x"), notes="neither a file", left_out=("x",)),
    "pipe in a file's place": Planted(
        _make("a", os.mkfifo), _hangs("cat a"), notes="neither", left_out=("a",)
    ),
    "socket": Planted(
        _make("x", _listen),
        lambda root, _: _raises(OSError, (root / "x").read_bytes),
        notes="neither a file",
        left_out=("x",),
    ),
    "endless device": Planted(
        _make("x", _device(5)), _hangs("cat x > /dev/null"), notes="neither", left_out=("x",), root_only=True
    ),
    "device of the kernel's memory": Planted(
        _make("x", _device(2)),
        lambda root, _: (root / "x").is_char_device(),
        notes="neither",
        left_out=("x",),
        root_only=True,
    ),
    "sparse terabyte": Planted(
        _sparse,
        lambda root, _: (root / "x").stat().st_size == 1 << 40,
        refused="'x' is 1,099,511,627,776 bytes",
    ),
    "large file": Planted(
        _write({"x": b"x" * 1001}),
        lambda root, _: len((root / "x").read_bytes()) > 1000,
        refused="'x' is 1,001 bytes",
        limits=SnapshotLimits(file_bytes=1000),
    ),
    "large files together": Planted(
        _write({f"x{n}": b"%d" % n * 400 for n in range(3)}),
        lambda root, _: len(list(root.glob("x*"))) == 3,
        refused="more than 1,000 bytes",
        limits=SnapshotLimits(total_bytes=1000),
    ),
    "many files": Planted(
        _write({f"x/{n}": b"%d" % n for n in range(300)}),
        lambda root, _: len(list(root.glob("x/*"))) == 300,
        refused="more than 200 new or changed",
        limits=SnapshotLimits(files=200),
    ),
    "many names of one content": Planted(
        _write({f"x/{n}": b"" for n in range(300)}),
        lambda root, _: len(list(root.glob("x/*"))) == 300,
        refused="more than 200 files and folders",
        limits=SnapshotLimits(visited=200),
    ),
    "no time": Planted(
        _write({"x": b""}),
        lambda root, _: True,
        refused="was not reached",
        limits=SnapshotLimits(seconds=0),
    ),
    "folders without end": Planted(_deep, _walks_into_the_deep, refused="nested more than 120 deep"),
    "long path": Planted(
        _long,
        lambda root, _: _raises(OSError, lambda: root.joinpath(*["n" * 250] * 18, "x").stat()),
        refused="path of more than 4096",
    ),
    "set-user-id": Planted(_mode("x", 0o6755), _mode_stays("x", 0o6755), {"x": ("100755", b"x")}),
    "writable by all": Planted(_mode("x", 0o777), _mode_stays("x", 0o777), {"x": ("100755", b"x")}),
    "executable by others only": Planted(_mode("x", 0o611), _mode_stays("x", 0o611), {"x": ("100644", b"x")}),
    "extended attributes": Planted(_attributes, _attributes_stay, {"x": ("100644", b"x")}),
    "attributes file of 8 MB": Planted(
        _write({".gitattributes": b"* x\n" * 2_000_000}),
        lambda root, _: (root / ".gitattributes").stat().st_size > 1e6,
        {".gitattributes": ("100644", b"* x\n" * 2_000_000)},
    ),
    "ignore file that takes for ever": Planted(
        _write({".gitignore": b"*a*a*a*a*a*a*a*a*a*a*a*a*b\n" * 50, "a" * 200: b"x"}),
        lambda root, _: True,
        {"a" * 200: ("100644", b"x")},
    ),
    "ignore file that is too large": Planted(
        _write({".gitignore": b"*\n" * 200_000, "x": b"x"}),
        _git_says("", "git add -A; git diff --cached --name-only"),
        {"x": ("100644", b"x")},
        notes="not followed",
    ),
}

NAMES = (
    {
        f"named {name!r}": Planted(
            _write({f"{name}/config": b"[core]\n\tfsmonitor = evil\n"}),
            _git_poisoned(name),
            notes="nested repositories",
            left_out=(f"{name}/config",),
        )
        for name in (
            ".GIT",
            ".Git",
            "git~1",
            "GIT~1",
            ".git ",
            ".git.",
            ".git...",
            ".git::$INDEX_ALLOCATION",
            ".g\u200cit",
            ".gi\ufefft",
        )
    }
    | {
        f"below a folder, named {name!r}": Planted(
            _write({f"d/{name}/config": b"x"}),
            _git_poisoned(f"d/{name}"),
            notes="nested repositories",
            left_out=(f"d/{name}/config",),
        )
        for name in (".GIT", "git~1")
    }
    | {
        "not UTF-8": Planted(
            _write({os.fsdecode(b"\xff\xfe"): b"x"}), _not_text, {os.fsdecode(b"\xff\xfe"): ("100644", b"x")}
        ),
        "with a line end": Planted(
            _write({"x\nShiftwork-Session: 7": b"x"}), _lines, {"x\nShiftwork-Session: 7": ("100644", b"x")}
        ),
        "with quotes and tabs": Planted(
            _write({'"\t\\': b"x"}),
            lambda root, _: '"\t\\' not in naive(root, "git ls-files -o"),
            {'"\t\\': ("100644", b"x")},
        ),
        "like an option": Planted(
            _write({"--help": b"x"}),
            _git_says("Usage", "cat *elp"),
            {"--help": ("100644", b"x")},
        ),
        "like a pattern": Planted(
            _write({":(exclude)*": b"x"}),
            lambda root, _: "exclude" not in naive(root, "git add ':(exclude)*'; git ls-files"),
            {":(exclude)*": ("100644", b"x")},
        ),
        "that Windows keeps for itself": Planted(
            _write({"CON": b"x", "aux.txt": b"x", "a:b": b"x", "end ": b"x"}),
            lambda root, _: (root / "CON").exists(),
            dict.fromkeys(("CON", "aux.txt", "a:b", "end "), ("100644", b"x")),
        ),
        "that differs in case": Planted(
            _write({"A": b"x"}), _spellings("a", "A"), {"A": ("100644", b"x")}, notes="in case or accents"
        ),
        "of a folder that differs in case": Planted(
            _write({"D/x": b"x"}),
            _spellings("d", "D"),
            {"D/x": ("100644", b"x")},
            notes="'D' differs from 'd'",
        ),
        "that differs in composition": Planted(
            _write({"\u00e9": b"x", "e\u0301": b"y"}),
            _spellings("\u00e9", "e\u0301"),
            {"\u00e9": ("100644", b"x"), "e\u0301": ("100644", b"y")},
            notes="in case or accents",
        ),
        "link that differs from a folder in case": Planted(
            _link_and_folder,
            _spellings("x", "X"),
            refused="symbolic link",
        ),
    }
)

MODULES = {
    f".gitmodules: {name}": Planted(_modules(text), _git_says(words, command), refused="'.gitmodules'")
    for name, text, words, command in (
        ("url like an option", '[submodule "s"]\n\turl = -u./evil\n\tpath = s\n', "gitmodulesUrl", _FSCK),
        ("path like an option", '[submodule "s"]\n\turl = x\n\tpath = -s\n', "gitmodulesPath", _FSCK),
        (
            "command as update",
            '[submodule "s"]\n\turl = x\n\tpath = s\n\tupdate = !evil\n',
            "gitmodulesUpdate",
            _FSCK,
        ),
        ("name that leads out", '[submodule "../../x"]\n\turl = x\n\tpath = s\n', "gitmodulesName", _FSCK),
        (
            "transport that is a program",
            '[submodule "s"]\n\turl = ext::evil\n\tpath = s\n',
            "ext::",
            "git config -f .gitmodules -l",
        ),
        (
            "path that leads out",
            '[submodule "s"]\n\turl = x\n\tpath = ../s\n',
            "../s",
            "git config -f .gitmodules -l",
        ),
        ("not readable", '[submodule "s\n', "bad config", "git config -f .gitmodules -l"),
    )
} | {
    ".gitmodules: harmless": Planted(
        _modules('[submodule "s"]\n\turl = ../s.git\n\tpath = s\n'),
        lambda root, _: True,
        {".gitmodules": ("100644", b'[submodule "s"]\n\turl = ../s.git\n\tpath = s\n')},
    )
}

PLANTED = LINKS | SPECIAL | NAMES | MODULES
