"""A repository that is reached by an address, served by git's own daemon on the loopback."""

import base64
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from repository_support import git, land, open_folder, person_commits, repo, start

from shiftwork.errors import RepositoryError
from shiftwork.repository import UserRepository

__all__ = ["open_folder", "repo"]


SSH = """#!/bin/sh
env > "{told}"
exit 1
"""


async def test_git_is_given_what_reaches_a_server_and_no_key(repo, tmp_path, monkeypatch):
    """Each helper and filter of a person would be told the keys of all models, or could log in nowhere."""
    told, ssh = tmp_path / "told", tmp_path / "ssh"
    ssh.write_text(SSH.format(told=told))
    ssh.chmod(0o700)
    wanted = {
        "GIT_SSH": str(ssh),
        "SSH_AUTH_SOCK": "/run/agent",
        "https_proxy": "http://proxy:3128",
        "GITHUB_TOKEN": "mine",
        "MY_HELPERS_LOGIN": "mine too",
        "XDG_CONFIG_HOME": str(tmp_path),
        "SHIFTWORK_GIT_ENVIRONMENT": "MY_HELPERS_LOGIN, NOT_SET",
    }
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "SWORDFISH", "GIT_DIR"):
        monkeypatch.setenv(name, "canary")
    with pytest.raises(RepositoryError):
        await UserRepository("ssh://git@example.org/x.git", "main").fetch_into(repo)
    found = dict(line.partition("=")[::2] for line in told.read_text().splitlines())
    assert "canary" not in found.values()
    del wanted["SHIFTWORK_GIT_ENVIRONMENT"]
    assert {name: found.get(name) for name in wanted} == wanted
    assert {"HOME", "PATH"} <= found.keys()


@pytest.fixture
def guarded(tmp_path, monkeypatch):
    """A server that lets in who knows a password; git asks a helper for it, which has it from a variable."""
    came: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            came.append(self.headers.get("Authorization", ""))
            self.send_response(404 if came[-1] else 401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    helper = '!f() { echo "username=me"; echo "password=${MY_HELPERS_LOGIN:?}"; }; f'
    config = tmp_path / "gitconfig"
    git(tmp_path, "config", "--file", str(config), "credential.helper", helper)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("MY_HELPERS_LOGIN", "swordfish")
    monkeypatch.setenv("NO_PROXY", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/x.git", came
        server.shutdown()
        serving.join()


async def test_who_is_not_let_in_learns_how_a_helper_gets_its_variable(repo, monkeypatch, guarded):
    """A helper that works in a terminal would fail here, and nobody would know why."""
    url, came = guarded
    user = UserRepository(url, "main")
    with pytest.raises(RepositoryError, match="name it in SHIFTWORK_GIT_ENVIRONMENT"):
        await user.fetch_into(repo)
    await land(repo, {"a": "1"}, 1)
    assert "name it in SHIFTWORK_GIT_ENVIRONMENT" in (await user.feed(repo)).warning
    assert not any(came)

    monkeypatch.setenv("SHIFTWORK_GIT_ENVIRONMENT", "MY_HELPERS_LOGIN")
    with pytest.raises(RepositoryError) as told:
        await user.fetch_into(repo)
    assert "SHIFTWORK_GIT_ENVIRONMENT" not in str(told.value)
    assert base64.b64decode(came[-1].partition(" ")[2]) == b"me:swordfish"


class TestRemote:
    """A repository that is reached by an address, served by git's own daemon on the loopback."""

    @pytest.fixture
    def url(self, tmp_path):
        """The address of an empty bare repository."""
        import socket
        import time

        root = tmp_path / "served"
        root.mkdir()
        git(root, "init", "-q", "--bare", "-b", "main", "x.git")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        arguments = ["--listen=127.0.0.1", f"--port={port}", "--export-all", "--enable=receive-pack"]
        daemon = subprocess.Popen(
            ["git", "daemon", "--reuseaddr", *arguments, f"--base-path={root}", str(root)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield f"git://127.0.0.1:{port}/x.git"
        os.killpg(daemon.pid, 15)
        daemon.wait()

    async def test_a_remote_repository_gets_a_push_and_gives_commits(self, repo, tmp_path, url):
        """A project on a git server would get nothing, or lose what people pushed."""
        user = await start(repo, url)
        assert user == UserRepository(url, "main")
        landed = await land(repo, {"a": "1"}, 1)
        assert (await user.feed(repo)).branch_updated
        assert not (await user.feed(repo)).branch_updated
        clone = tmp_path / "clone"
        git(tmp_path, "clone", "-q", url, str(clone))
        assert git(clone, "rev-parse", "HEAD") == landed
        theirs = person_commits(clone, "p", "x")
        git(clone, "push", "-q")
        await land(repo, {"b": "1"}, 2)
        assert "was not updated" in (await user.feed(repo)).warning
        assert await user.fetch_into(repo) == theirs
