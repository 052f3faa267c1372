"""Playing at a real terminal."""

import os
import pty
import signal
import sys
import time

import pytest


class Terminal:
    """A command at a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            env = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
            os.execve(sys.executable, [sys.executable, "-P", "-m", "client", *arguments], env)

    def type(self, keys: str) -> None:
        """As a person presses them."""
        os.write(self._terminal, keys.encode())

    def until(self, said: str = "", seconds: float = 100) -> str:
        """All that is shown until something is, or, if that is not given, until the command ends."""
        shown, deadline = "", time.monotonic() + seconds
        os.set_blocking(self._terminal, False)
        while not said or said not in shown:
            assert time.monotonic() < deadline, shown
            try:
                piece = os.read(self._terminal, 65_536)
            except BlockingIOError:
                time.sleep(0.02)
                continue
            except OSError:  # nobody writes to it any more
                break
            if not piece:
                break
            shown += piece.decode()
        return shown.replace("\r\n", "\n")

    def ends(self, seconds: float = 100) -> int:
        """Wait for its end; its exit status."""
        deadline = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def close(self) -> None:
        """End it, if it goes on."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._terminal)


@pytest.mark.parametrize("typed", ["", "guess 5", "guess 50\n"], ids=["nothing", "half a line", "a step"])
def test_the_first_ctrl_c_ends_a_play(typed: str) -> None:
    """If it failed, a person would press it again and again, or have done what was only typed."""
    terminal = Terminal("env", "play", "number_guess", "--seed", "7")
    try:
        terminal.until("> ")
        terminal.type(typed)
        if typed:
            terminal.until("too high" if typed.endswith("\n") else typed)
        terminal.type("\x03")
        shown = terminal.until()
        assert terminal.ends() == 130
    finally:
        terminal.close()
    assert "\nInterrupted: the episode is over.\n" in shown
    assert "Traceback" not in shown
    assert "too high" not in shown
