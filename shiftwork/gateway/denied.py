"""Hosts that a confined program wanted and was refused, for people to see."""

from shiftwork.gateway.call import Call, Outcome
from shiftwork.gateway.hosts import HostPattern, split_authority
from shiftwork.gateway.refusals import Reason

_DEFAULT_PORTS = {"tunnel": 443, "http": 80}
_MOST = 20


class DeniedHosts:
    """Notes the hosts that the forward proxy refused to one session, each once; the log has every call.

    Args:
        hosts: those that the session may reach.
        most: how many are noted; a program may try any number.
    """

    def __init__(self, hosts: tuple[str, ...], most: int = _MOST) -> None:
        self._patterns = tuple(map(HostPattern.parse, hosts))
        self._left = most
        self._noted: set[str] = set()
        self._new: list[tuple[str, str]] = []

    @property
    def news(self) -> bool:
        """Whether there is anything to take."""
        return bool(self._new)

    def note(self, call: Call) -> None:
        """Take in one call; returns at once."""
        refused = call.outcome is Outcome.REFUSED and call.reason in (Reason.FORBIDDEN, Reason.MALFORMED)
        if call.kind not in _DEFAULT_PORTS or not refused or call.target in self._noted or not self._left:
            return
        self._left -= 1
        self._noted.add(call.target)
        self._new.append((call.target, self._why(call)))

    def take(self) -> list[tuple[str, str]]:
        """What was noted since the last time: hosts as programs named them, '' for no plain name; and why."""
        taken, self._new = self._new, []
        return taken

    def _why(self, call: Call) -> str:
        found = split_authority(call.target)
        if found is None or call.reason == Reason.MALFORMED:
            return "no plain request for a host by its name"
        default = _DEFAULT_PORTS[call.kind]
        if any(each.matches(found[0], found[1] or default, default) for each in self._patterns):
            return "it stands for an address that is not public"
        return "not among the hosts that may be reached"


def denied_line(host: str, why: str) -> str:
    """One of them as people read it."""
    return f"{host or 'an address'} refused: {why}"
