"""A machine on which no namespace can be made: root of a user namespace, without any right in it."""

import os
import shutil
import subprocess
import sys

_SCRIPT = """\
echo 0 >/proc/sys/user/max_user_namespaces || exit 77
exec setpriv --bounding-set=-all --inh-caps=-all "$@"
"""
UNUSABLE = 77


def run_restricted(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run our interpreter there; the status is `UNUSABLE` if this machine can't be restricted so."""
    unshare, setpriv = shutil.which("unshare"), shutil.which("setpriv")
    if unshare is None or setpriv is None:
        return subprocess.CompletedProcess(arguments, UNUSABLE, "", "")
    argv = (unshare, "--user", "--map-root-user", "/bin/sh", "-c", _SCRIPT, "sh", sys.executable, *arguments)
    env = {**os.environ, **environment}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=100)
    if done.stderr.startswith("unshare:"):
        done.returncode = UNUSABLE
    return done
