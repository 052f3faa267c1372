"""Which refusals of the forward proxy people are told of."""

import pytest

from shiftwork.gateway import Call, Outcome, Reason
from shiftwork.gateway.denied import DeniedHosts, denied_line

LISTED = ("packages.example", "*.hosted.example", "registry.example:8443")


def refused(target, kind="tunnel", reason=Reason.FORBIDDEN):
    return Call(kind=kind, target=target, outcome=Outcome.REFUSED, reason=reason)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (refused("evil.example:443"), "evil.example:443 refused: not among the hosts that may be reached"),
        (
            refused("packages.example:22"),
            "packages.example:22 refused: not among the hosts that may be reached",
        ),
        (
            refused("packages.example", "http"),
            "packages.example refused: it stands for an address that is not public",
        ),
        (
            refused("registry.example:8443"),
            "registry.example:8443 refused: it stands for an address that is not public",
        ),
        (
            refused("", reason=Reason.MALFORMED),
            "an address refused: no plain request for a host by its name",
        ),
    ],
)
def test_a_refusal_says_which_host_and_why(call, line):
    """If it failed, nobody could tell a host that is not listed from one that leads into the own network."""
    denied = DeniedHosts(LISTED)
    denied.note(call)
    assert [denied_line(*one) for one in denied.take()] == [line]


@pytest.mark.parametrize(
    "call",
    [
        Call(kind="tunnel", target="packages.example:443", outcome=Outcome.ANSWERED),
        Call(kind="tunnel", target="gone.example:443", outcome=Outcome.FAILED, reason=Reason.UPSTREAM),
        refused("packages.example:443", reason=Reason.CREDENTIAL),
        refused("/v1/messages", kind="messages"),
    ],
)
def test_what_is_no_refusal_of_a_host_is_not_told(call):
    """If it failed, people would look for a fault in the list of hosts that is none."""
    denied = DeniedHosts(LISTED)
    denied.note(call)
    assert (denied.news, denied.take()) == (False, [])


def test_each_host_is_told_once_and_few_at_all():
    """If it failed, a program that tries again and again would bury what else happened."""
    denied = DeniedHosts(LISTED, most=3)
    for _ in range(2):
        denied.note(refused("evil.example:443"))
    assert [host for host, _ in denied.take()] == ["evil.example:443"]
    for number in range(9):
        denied.note(refused(f"evil{number}.example:443"))
    assert [host for host, _ in denied.take()] == ["evil0.example:443", "evil1.example:443"]
