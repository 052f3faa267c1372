"""The profile for macOS, as text: what it allows, and that no path breaks out of it."""

import re
import sys
from pathlib import Path

import pytest

from shiftwork.sandbox.confinement import Bind, Confinement, Network
from shiftwork.sandbox.seatbelt import Seatbelt, profile
from shiftwork.sandbox.subreaper import Subreaper


def bind(path: str, *, writable: bool = False) -> Bind:
    return Bind(Path(path), Path(path), writable=writable)


def rules(text: str) -> list[str]:
    """The rules of a profile, each on one line; raises `AssertionError` if its parentheses do not match."""
    found, depth, begin = [], 0, 0
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"|[()]', text):
        depth += {"(": 1, ")": -1}.get(token.group(), 0)
        assert depth >= 0
        if depth == 1 and token.group() == "(":
            begin = token.start()
        if depth == 0:
            found.append(" ".join(text[begin : token.end()].split()))
    assert depth == 0
    return found


def test_what_is_not_allowed_is_denied():
    """If it failed, a program would be able to do whatever the profile forgets."""
    found = rules(profile(Confinement(())))
    assert found[:2] == ["(version 1)", "(deny default)"]
    assert all(rule.startswith("(allow ") for rule in found[2:])
    assert not [
        rule for rule in found if "network" in rule or "file-write*" in rule or "allow default" in rule
    ]


def test_what_is_given_is_read_and_what_is_writable_is_written():
    """If it failed, a program could not work in its workspace, or could change its brief."""
    given = (bind("/brief"), bind("/work space", writable=True))
    found = rules(profile(Confinement(given)))
    (read,) = [rule for rule in found if rule.startswith("(allow file-read* (subpath")]
    (write,) = [rule for rule in found if rule.startswith("(allow file-write*")]
    assert '(subpath "/brief")' in read
    assert '(subpath "/work space")' in read
    assert write == '(allow file-write* (subpath "/work space"))'


@pytest.mark.parametrize(
    "broad", ["/", "/private", "/private/var", "/private/tmp", "/Users", "/Library", "/etc"]
)
def test_no_home_and_no_shared_folder_is_read(broad):
    """If it failed, a program could read keys, or what others leave in shared folders."""
    assert f'(subpath "{broad}")' not in profile(Confinement(()))


@pytest.mark.parametrize(
    ("network", "port", "expected"),
    [
        (Network.NONE, 4000, []),
        (Network.DOOR, None, []),
        (Network.DOOR, 4000, ['(allow network-outbound (remote tcp "localhost:4000"))']),
        (Network.HOST, None, ["(allow network* system-socket)"]),
    ],
)
def test_the_network_is_the_gateways_port(network, port, expected):
    """If it failed, a program could send what it reads anywhere, or not ask its model."""
    found = rules(profile(Confinement((), network=network, gateway_port=port)))
    assert [rule for rule in found if "network" in rule] == expected


@pytest.mark.parametrize(
    "path",
    [
        '/a"b',
        "/a\\",
        '/a\\"',
        '/x")) (allow file-write* (subpath "/y',
        "/a;b",
        "/(a)",
        "/ä 语",
        "/$HOME",
        "/#|x|#",
    ],
)
def test_no_path_breaks_out_of_its_string(path):
    """If it failed, a folder's name could allow a program everything."""
    found = rules(profile(Confinement((bind(path, writable=True),))))
    (write,) = [rule for rule in found if rule.startswith("(allow file-write*")]
    (string,) = re.findall(r'"((?:[^"\\]|\\.)*)"', write)
    assert re.sub(r"\\(.)", r"\1", string) == path
    assert len(found) == len(rules(profile(Confinement((bind("/plain", writable=True),)))))


@pytest.mark.parametrize("path", ["/a\nb", "/a\0b", "/\x1b", "relative"])
def test_what_can_not_be_written_is_refused(path):
    """If it failed, a path would mean something else in the profile than on the disk."""
    with pytest.raises(ValueError, match="can't be written in a profile"):
        profile(Confinement((bind(path),)))


def test_it_works_on_macos_alone():
    """If it failed, another system would try to run a program that it does not have."""
    sandbox = Seatbelt(Subreaper())
    assert (sandbox.level, sandbox.moves_binds, sandbox.own_network) == ("sandbox-exec", False, False)
    assert sys.platform == "darwin" or not sandbox.works()
