"""The sandbox without namespaces keeps programs from the network: each attack works without it."""

import contextlib
import socket
import tempfile
from pathlib import Path

import pytest
from landlock_support import attack, confinement, open_place

from shiftwork.sandbox.callnumbers import AARCH64, X86_64
from shiftwork.sandbox.confinement import Network
from shiftwork.sandbox.landlock import Landlock, detect
from shiftwork.sandbox.landlock_calls import refusals_for
from shiftwork.sandbox.subreaper import Subreaper

ABI = detect()

pytestmark = pytest.mark.skipif(not Landlock(Subreaper()).works(), reason="Landlock does not work here")


@pytest.fixture(scope="module")
def sandbox():
    return Landlock(Subreaper())


@pytest.fixture
def place():
    with open_place() as folder:
        yield folder


CONNECT = "socket.create_connection(('127.0.0.1', int(sys.argv[2])), 5)"
NETWORK = {
    "tcp": CONNECT,
    "fast open": "s = socket.socket()\ns.sendto(b'x', 0x20000000, ('127.0.0.1', int(sys.argv[2])))",
    "fast open by sendmsg": (
        "s = socket.socket()\ns.sendmsg([b'x'], [], 0x20000000, ('127.0.0.1', int(sys.argv[2])))"
    ),
    "multipath tcp": "s = socket.socket(2, 1, 262)\ns.connect(('127.0.0.1', int(sys.argv[2])))",
    "udp": "socket.socket(2, 2).sendto(b'x', ('127.0.0.1', 9))",
    "udp over IPv6": "socket.socket(10, 2)",
    "unix": "s = socket.socket(1)\ns.connect(sys.argv[3])",
    "abstract unix": "s = socket.socket(1)\ns.connect('\\0' + sys.argv[3])",
    "unix datagrams of a pair": (
        "a, _ = socket.socketpair(1, socket.SOCK_DGRAM)\na.sendto(b'x', sys.argv[3] + '.log')"
    ),
    "the same by another name": "a, _ = socket.socketpair(1, 3)\na.sendto(b'x', sys.argv[3] + '.log')",
    "bind": "socket.socket().bind(('127.0.0.1', 0))",
    "listen": "socket.socket().listen()",
    "upper layers": "socket.socket().setsockopt(6, 31, b'tls')",
}


@pytest.fixture
def listeners():
    """Two ports, a unix socket by path and by name on which something answers, and one for datagrams."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        path = f"{folder}/socket"
        tcp = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        for name in (path, f"\0{path}"):
            one = stack.enter_context(socket.socket(socket.AF_UNIX))
            one.bind(name)
            one.listen()
        log = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        log.bind(f"{path}.log")
        Path(folder).chmod(0o755)
        yield [one.getsockname()[1] for one in tcp], path


@pytest.mark.skipif(ABI.version < 4, reason="this kernel does not confine TCP")
@pytest.mark.parametrize("network", [Network.NONE, Network.DOOR])
@pytest.mark.parametrize("what", NETWORK)
async def test_the_network_is_out_of_reach(sandbox, place, listeners, what, network):
    """If it failed, an agent could send what it reads anywhere, or talk to the embedded servers."""
    (gateway, other), path = listeners
    held = confinement(place, network=network, gateway_port=gateway)
    answer = await attack(sandbox, place, NETWORK[what], held, str(other), path)
    assert answer.startswith(b"PermissionError"), answer
    control = await attack(sandbox, place, NETWORK[what], None, str(other), path)
    # The machine may lack a protocol, but it does not refuse it.
    assert control == b"done" or (not control.startswith(b"PermissionError") and what != "tcp"), control


@pytest.mark.parametrize("network", Network)
async def test_the_gateway_is_reached_through_the_door_alone(sandbox, place, listeners, network):
    """If it failed, agents could not ask their model, or could although they may not."""
    (gateway, _), _ = listeners
    held = confinement(place, network=network, gateway_port=gateway)
    answer = await attack(sandbox, place, CONNECT, held, str(gateway))
    assert answer == (b"PermissionError 13" if network is Network.NONE else b"done")


async def test_without_a_port_the_door_is_shut(sandbox, place, listeners):
    """If it failed, a forgotten port would mean all of them."""
    (gateway, _), _ = listeners
    if ABI.version >= 4:
        held = confinement(place, network=Network.DOOR)
        assert await attack(sandbox, place, CONNECT, held, str(gateway)) == b"PermissionError 13"


def test_every_refused_call_has_its_numbers():
    """If it failed, a refusal would silently not be made."""
    calls = {call for network in Network for refusal in refusals_for(network) for call in refusal.calls}
    assert calls <= set(X86_64)
    assert calls <= set(AARCH64)
