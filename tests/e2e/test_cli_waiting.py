"""Commands that wait, and a stack that ends and is started again meanwhile."""

import json
import signal
import subprocess
import sys
from contextlib import contextmanager

from tests.e2e.support import quick_environment, simple_attempt, simple_feature, write_cassette

CLIENT = [sys.executable, "-P", "-m", "client"]


def test_a_watch_outlives_the_stack(tmp_path):
    """If it failed, whoever waits would not learn that no worker or no stack is there, or would give up."""
    write_cassette(tmp_path / "c.yml", [simple_feature("one")], {"one": [simple_attempt("one")]})
    (tmp_path / "s.md").write_text("# one\n")
    env = quick_environment(tmp_path / "state")
    options = {
        "env": env,
        "cwd": tmp_path,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }
    with running_stack("--no-worker", **options):
        begun = subprocess.run([*CLIENT, "start", "s.md", "--cassette", "c.yml"], check=True, **options)
        assert begun.stderr.startswith("warning: No worker seems to run")
        watch = subprocess.Popen([*CLIENT, "watch"], **options)
        assert "created the project" in watch.stdout.readline()
    try:
        assert watch.stderr.readline().startswith("The stack is not answering (3 s)")
        with running_stack(**options):
            out, err = watch.communicate(timeout=150)
    finally:
        watch.kill()
    assert watch.returncode == 0, err
    # A stack may start slowly, and answers before its worker does.
    said = err.splitlines()
    again = said.index("The stack answers again.")
    assert all(line.startswith("The stack is not answering") for line in said[:again])
    assert all(line.startswith("No worker seems to run") for line in said[again + 1 :])
    assert "one is completed" in out


@contextmanager
def running_stack(*arguments, **options):
    """`shiftwork dev` until the end of the block."""
    dev = subprocess.Popen([*CLIENT, "dev", "--json", *arguments], **options)
    try:
        assert json.loads(dev.stdout.readline())["pid"]
        yield
    finally:
        dev.send_signal(signal.SIGINT)
        dev.communicate(timeout=150)
