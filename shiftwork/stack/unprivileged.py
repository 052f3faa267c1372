"""Running a server that refuses to run as root, without making a system user for it."""

import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from shiftwork.errors import StackError


@dataclass(frozen=True)
class Unprivileged:
    """How a program of PostgreSQL is run so that it does not see itself as root.

    An ordinary user runs it as it is. Root runs it in a user namespace in which root is called `nobody`: the
    files stay root's own, so a folder below a home of mode 0700 is no hindrance. Where namespaces are
    forbidden, as in many containers, it runs as `nobody` proper, keeping the one capability that lets it
    reach its folder.
    """

    uid: int

    @classmethod
    def for_this_process(cls) -> "Unprivileged":
        return cls(os.geteuid())

    @cached_property
    def prefix(self) -> list[str]:
        """What stands before the program in its argument list.

        Raises:
            StackError: this is root, and nothing here can give it up.
        """
        if self.uid != 0:
            return []
        for candidate in (self._namespace, self._other_user):
            if sys.platform == "linux" and _works([*candidate, "true"]):
                return candidate
        raise StackError(
            "PostgreSQL refuses to run as root, and neither `unshare --user` nor `setpriv` works here: "
            "run as an ordinary user, or set SHIFTWORK_DATABASE_URL."
        )

    @property
    def owner(self) -> int:
        """The user id, seen from outside, that the server's files must belong to."""
        return self._account.pw_uid if self.prefix == self._other_user and self.uid == 0 else self.uid

    def own(self, folder: Path) -> None:
        """Give the folder and all that is in it to `owner`, if it has another."""
        if self.uid != 0 or folder.stat().st_uid == self.owner:
            return
        for root, _, files in os.walk(folder):
            for name in files:
                os.chown(Path(root) / name, self.owner, -1, follow_symlinks=False)
            os.chown(root, self.owner, -1)

    @cached_property
    def _account(self) -> pwd.struct_passwd:
        # initdb looks its user's name up, so the id has to be one that has a name.
        try:
            return pwd.getpwnam("nobody")
        except KeyError:
            return next(each for each in pwd.getpwall() if each.pw_uid != 0)

    @property
    def _namespace(self) -> list[str]:
        return ["unshare", "--user", f"--map-user={self._account.pw_uid}"]

    @property
    def _other_user(self) -> list[str]:
        account = self._account
        ids = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        return ["setpriv", *ids, "--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"]


def _works(argv: list[str]) -> bool:
    try:
        return subprocess.run(argv, check=False, capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
