"""The environment that agents and steps get."""

import os
import subprocess
import sys
from pathlib import Path

from shiftwork.runner.environment import base_python, child_environment


def test_only_the_listed_and_the_given_get_through(tmp_path):
    """Otherwise keys and passwords of the worker would reach every agent."""
    base = {
        "PATH": "/usr/bin:/bin",
        "LC_TIME": "C",
        "HOME": "/h",
        "ANTHROPIC_API_KEY": "secret",
        "PYTHONPATH": "/x",
        "SHIFTWORK_DATABASE_URL": "secret",
    }
    env = child_environment(base, {"HOME": str(tmp_path), "EXTRA": "1"}, tools=tmp_path / "tools")
    assert env == {
        "PATH": f"{tmp_path}/tools:/usr/bin:/bin",
        "LC_TIME": "C",
        "HOME": str(tmp_path),
        "EXTRA": "1",
    }


def test_python_is_the_base_interpreter(tmp_path):
    """Otherwise a project under test would see Shiftwork's own packages."""
    own = str(Path(sys.executable).parent)
    virtual = tmp_path / "other"
    base = {"PATH": os.pathsep.join([own, f"{virtual}/bin", "/usr/bin", "/bin"]), "VIRTUAL_ENV": str(virtual)}
    for tools in (tmp_path / "tools", tmp_path / "tools", None):
        env = child_environment(base, {}, tools=tools)
        assert "VIRTUAL_ENV" not in env
        assert f"{virtual}/bin" not in env["PATH"].split(os.pathsep)
        for name in ("python", "python3"):
            argv = ["/usr/bin/env", name, "-c", "import sys; print(sys.prefix, sys.base_prefix)"]
            said = subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout.split()
            assert said == [sys.base_prefix, sys.base_prefix]
    assert base_python().is_file()


def test_links_follow_the_interpreter(tmp_path):
    """Otherwise an upgrade of Python would leave links that lead nowhere."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "python").symlink_to("/no/such/python3.2")
    child_environment(os.environ, {}, tools=tools)
    assert (tools / "python").readlink() == base_python()
    assert sorted(path.name for path in tools.iterdir()) == ["python", "python3"]
