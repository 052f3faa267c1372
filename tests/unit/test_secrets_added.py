"""A commit that would add a secret is refused by name, before any of it is stored."""

import subprocess
import zlib

import pytest
from repository_support import changed, pool, repo  # noqa: F401 - fixtures

from shiftwork.errors import RepositoryError, SecretRefused, SnapshotRefused
from shiftwork.secrets import AddedSecrets, Allowed, Redactor, Secret, check_added, find_secrets
from shiftwork.secrets.added import MAX_ADDED, MAX_FINDINGS, Marks

VALUE = "s3cr3t-value-0123"
TOKEN = "ghp_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
REDACTOR = Redactor([Secret("env:KEY", VALUE)])


def kinds(path, data, allowed=None):
    return [
        (finding.path, finding.line, finding.kind) for finding in find_secrets(path, data, REDACTOR, allowed)
    ]


def test_findings_name_path_line_and_kind():
    """If this failed, an agent could not find what it must remove."""
    data = f"a\nkey = '{VALUE}'\n\ntoken = {TOKEN}\n".encode()

    found = find_secrets("src/a.py", data, REDACTOR)

    assert kinds("src/a.py", data) == [("src/a.py", 2, "env:KEY"), ("src/a.py", 4, "github-token")]
    assert VALUE not in repr(found)
    assert TOKEN not in repr(found)


def test_known_values_are_found_in_everything():
    """If this failed, an archive, a UTF-16 file or a file's name could carry a key out."""
    assert kinds("a.bin", b"\0\1\2" + VALUE.encode()) == [("a.bin", 1, "env:KEY")]
    assert kinds("a.txt", VALUE.encode("utf-16")) == [("a.txt", 1, "env:KEY")]
    assert kinds("a.txt", VALUE.encode("utf-16-be")) == [("a.txt", 1, "env:KEY")]
    assert kinds(f"dir/{VALUE}.txt", b"") == [("dir/[redacted:env:KEY].txt", 0, "env:KEY")]
    assert kinds("a.bin", b"\0" + TOKEN.encode()) == []


def test_tokens_are_found_in_paths():
    """If this failed, a token could be carried out as the name of a file or folder."""
    shown = "[redacted:github-token]"
    assert kinds(f"dir/{TOKEN}/a.txt", b"") == [(f"dir/{shown}/a.txt", 0, "github-token")]
    assert kinds(f"ghp_{'x' * 36}", b"") == []
    assert kinds(f"tests/{TOKEN}", b"", Allowed(("tests/*",))) == []
    assert kinds(f"{VALUE[:6]}\u200b{VALUE[6:]}", b"") == [("[redacted:env:KEY]", 0, "env:KEY")]


@pytest.mark.parametrize(
    "line",
    [
        f"t = '{TOKEN}'  # pragma: allowlist secret",
        f"// pragma: allowlist nextline secret\nt = '{TOKEN}'",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "x" * 36,
        "Authorization: Bearer 0123456789abcdef0123",
        "postgresql://user:password@localhost/db",
    ],
)
def test_what_is_no_secret_is_let_through(line):
    """If this failed, tests and examples could not be committed."""
    assert kinds("a.py", line.encode()) == []


def test_paths_can_be_allowed_but_known_values_never_are():
    """If this failed, an agent could allow itself to commit the key it was given."""
    allowed = Allowed(("tests/fixtures/*",))
    data = f"{TOKEN}\n{VALUE} pragma: allowlist secret\n".encode()

    assert kinds("tests/fixtures/a/b.pem", data, allowed) == [("tests/fixtures/a/b.pem", 2, "env:KEY")]
    assert len(kinds("src/a.py", data, allowed)) == 2


def test_the_pragma_is_advised_only_for_tokens():
    """If this failed, an agent would be told to do for a known secret what does not help."""
    with pytest.raises(SecretRefused) as known:
        check_added([("a.txt", VALUE.encode())], REDACTOR)
    with pytest.raises(SecretRefused, match="pragma"):
        check_added([("a.txt", TOKEN.encode())], REDACTOR)

    assert "pragma" not in str(known.value)


def test_many_findings_stay_one_sentence():
    """If this failed, a flood of findings would fill the next brief."""
    blobs = [(f"{n}.txt", f"{TOKEN}{n}\n".encode() * 200) for n in range(50)]

    with pytest.raises(SecretRefused, match=r"'0.txt', line 1 \(github-token\).*and \d+ more") as caught:
        check_added(blobs, REDACTOR)

    assert len(str(caught.value)) < 2_000
    assert TOKEN not in str(caught.value)
    assert len(caught.value.paths) == 50
    assert isinstance(caught.value, RepositoryError)


def test_what_was_held_before_takes_no_place_from_what_is_new():
    """If this failed, one more token in a file of many would be committed unseen."""
    held = "".join(f"{TOKEN}{n}\n" for n in range(300))
    added = AddedSecrets(REDACTOR)
    added.look("a.txt", f"{held}{TOKEN}new\n".encode())
    added.excuse("a.txt", held.encode())

    with pytest.raises(SecretRefused, match=r"'a.txt', line 301 \(github-token\)"):
        added.refuse()


def objects(private):
    """The content of every object in a repository."""
    listed = subprocess.run(
        ["git", f"--git-dir={private.path}", "cat-file", "--batch-all-objects", "--batch"],
        capture_output=True,
        check=True,
    ).stdout
    loose = [zlib.decompress(path.read_bytes()) for path in private.path.glob("objects/??/*")]
    return listed + b"".join(loose)


async def test_a_snapshot_that_adds_a_secret_stores_nothing(repo, pool):  # noqa: F811
    """If this failed, a refused secret would still lie in the project's repository."""
    workspace = await pool.acquire("a")
    base = await repo.tip()
    await workspace.prepare(repo, base, with_git=False)
    (workspace.path / "a.txt").write_text(f"one\n{VALUE}\n")

    with pytest.raises(SecretRefused, match=r"'a.txt', line 2 \(env:KEY\)"):
        await repo.snapshot(workspace, base, "s1", guard=AddedSecrets(REDACTOR))

    assert VALUE.encode() not in objects(repo)
    assert await repo.candidate("s1") is None
    (workspace.path / "a.txt").write_text("one\n")
    assert await changed(repo, await repo.snapshot(workspace, base, "s1", guard=AddedSecrets(REDACTOR))) == (
        "a.txt",
    )
    await workspace.release()


async def test_what_the_base_has_already_is_not_added(repo, pool):  # noqa: F811
    """If this failed, a repository with an old secret could never be worked on."""
    workspace = await pool.acquire("a")
    root = await repo.tip()
    await workspace.prepare(repo, root, with_git=False)
    (workspace.path / "a.txt").write_text(f"{VALUE}\n{TOKEN}\n")
    base = (await repo.snapshot(workspace, root, "s1")).commit
    (workspace.path / "a.txt").write_text(f"new\n{VALUE}\n{TOKEN}\n")

    taken = await repo.snapshot(workspace, base, "s2", guard=AddedSecrets(REDACTOR))

    assert await changed(repo, taken) == ("a.txt",)
    (workspace.path / "a.txt").write_text(f"{VALUE}\n{TOKEN}\n{TOKEN[:-4]}zzZ9\n")
    with pytest.raises(SecretRefused, match=r"'a.txt', line 3 \(github-token\)"):
        await repo.snapshot(workspace, base, "s3", guard=AddedSecrets(REDACTOR))
    (workspace.path / "copy.txt").write_text(f"{VALUE}!\n")
    with pytest.raises(SecretRefused, match=r"'copy.txt', line 1 \(env:KEY\)"):
        await repo.snapshot(workspace, base, "s3", guard=AddedSecrets(REDACTOR))
    await workspace.release()


@pytest.mark.parametrize("name", [VALUE, f"in/{VALUE}/a.txt", TOKEN])
@pytest.mark.parametrize("content", ["", "one\n", "target"])
async def test_a_new_name_is_looked_at_whatever_it_holds(repo, pool, name, content):  # noqa: F811
    """If this failed, a secret would be committed as the name of a file whose content is not new."""
    workspace = await pool.acquire("a")
    root = await repo.tip()
    await workspace.prepare(repo, root, with_git=False)
    for held in ("", "one\n", "target"):
        (workspace.path / f"held-{len(held)}").write_text(held)
    base = (await repo.snapshot(workspace, root, "s1")).commit
    path = workspace.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(content) if content == "target" else path.write_text(content)

    with pytest.raises(SecretRefused, match=r"the name of '.*redacted:"):
        await repo.snapshot(workspace, base, "s2", guard=AddedSecrets(REDACTOR))

    await workspace.release()


async def test_content_is_looked_at_under_its_new_name(repo, pool):  # noqa: F811
    """If this failed, what one path may hold could be put where nobody allowed it."""
    workspace = await pool.acquire("a")
    root = await repo.tip()
    await workspace.prepare(repo, root, with_git=False)
    (workspace.path / "held.txt").write_text(f"{VALUE}\n")
    base = (await repo.snapshot(workspace, root, "s1")).commit
    (workspace.path / "copy.txt").write_text(f"{VALUE}\n")

    with pytest.raises(SecretRefused, match=r"'copy.txt', line 1 \(env:KEY\)"):
        await repo.snapshot(workspace, base, "s2", guard=AddedSecrets(REDACTOR))

    await workspace.release()


def test_one_long_line_is_looked_at_once():
    """If this failed, a bundled script of a megabyte would be searched for hours."""
    data = b" ".join([TOKEN.encode()] * 500) + b" " * 10_000
    marks = Marks(data)

    assert not any(marks.allow(at) for at in range(0, len(data), 41))
    assert marks.searched == len(data)


def test_marks_hold_for_their_line_alone():
    """If this failed, one comment would allow what stands in other lines."""
    nothing, here, after = b"x" * 9, b"pragma: allowlist secret", b"pragma: allowlist nextline secret"
    lines = [nothing, here, nothing, after, nothing, nothing, here]
    starts = [len(b"\n".join([*lines[:n], b""])) for n in range(len(lines))]
    data = b"\n".join(lines)
    marks = Marks(data)

    found = [marks.allow(start + at) for start in starts for at in (0, 4, 8)]
    expected = [False, True, False, False, True, False, True]
    assert found == [allowed for allowed in expected for _ in range(3)]
    assert marks.searched <= 2 * len(data)


@pytest.mark.parametrize("text", [f"{TOKEN} ", "AKIAIOSFODNN7EXAMPLE ", f"{VALUE} "])
def test_the_clock_is_looked_at_for_each_token(text):
    """If this failed, allowed tokens and placeholders would be looked at when the time is over."""
    ticks = []

    def tick():
        ticks.append(1)
        if len(ticks) > 5:
            raise SnapshotRefused("too late")

    with pytest.raises(SnapshotRefused, match="too late"):
        find_secrets("a.txt", f"{text * 20} pragma: allowlist secret".encode(), REDACTOR, tick=tick)
    assert len(ticks) == 6


def test_too_many_findings_are_refused_at_once():
    """If this failed, a thousand files of tokens would fill the memory before any is refused."""
    data = "".join(f"{TOKEN}{n}\n" for n in range(MAX_FINDINGS + 1)).encode()
    added = AddedSecrets(REDACTOR)
    most = MAX_ADDED // MAX_FINDINGS

    for number in range(most - 1):
        added.look(f"{number}.txt", data)
    with pytest.raises(SecretRefused):
        added.look("last.txt", data)
    assert len(added.suspects) == most
