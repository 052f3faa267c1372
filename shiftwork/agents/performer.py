"""What each step of a cassette does; imports as little as it can, see `player`."""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from shiftwork.agents.steps import KINDS, Step

_RESULT_BYTES = 4_000
"""How much of the end of a command's output is reported."""

_FLOOD_LINE = b"All work and no play makes a long log. " * 26 + b"\n"


class Failed(Exception):  # noqa: N818 - the agent failed; this module's caller says so
    """The agent can't do what its cassette asks; the text is the sentence it ends with."""


class TurnOver(Exception):  # noqa: N818 - not an error
    """The agent ended its turn before the end of its list, and has said why."""


def emit(kind: str, **facts: Any) -> None:
    """Say one event, at once."""
    sys.stdout.write(json.dumps({"kind": kind, **facts}) + "\n")
    sys.stdout.flush()


class Performer:
    """Does the steps of one attempt in a workspace, leaving files in an outbox."""

    def __init__(self, workspace: str, outbox: str) -> None:
        self._workspace = os.path.realpath(workspace)
        self._outbox = outbox
        self._acts: dict[str, Callable[[Mapping[str, Any]], None]] = {
            kind: getattr(self, f"_{kind}") for kind in KINDS
        }

    def do(self, step: Step) -> None:
        """Do one step.

        Raises:
            Failed: it is not possible.
            TurnOver: it ended the turn.
        """
        self._acts[step.kind](step.values)

    def leave(self, name: str, content: object) -> None:
        """Write a JSON file into the outbox."""
        with self._outbox_file(name, "w") as file:
            json.dump(content, file, indent=2)

    def _outbox_file(self, name: str, mode: str) -> Any:
        return open(os.path.join(self._outbox, name), mode, encoding="utf-8")  # noqa: PTH123, PTH118

    def _leave_line(self, name: str, content: object) -> None:
        with self._outbox_file(name, "a") as file:
            file.write(json.dumps(content) + "\n")

    def _inside(self, path: str) -> str:
        """The absolute path; refused if a symbolic link leads it out of the workspace."""
        target = os.path.join(self._workspace, path)  # noqa: PTH118
        real = os.path.realpath(target)
        if not real.startswith(self._workspace + os.sep):
            raise Failed(f"{path!r} leads out of the workspace.")
        return target

    def _tool(self, name: str, **facts: Any) -> None:
        emit("tool_use", text=name, data=facts)

    # Files --------------------------------------------------------------------------------------------

    def _write(self, values: Mapping[str, Any]) -> None:
        self._tool("write", path=values["path"])
        target = self._save(values["path"], "w", values["content"])
        if values.get("executable"):
            os.chmod(target, 0o755)  # noqa: PTH101, S103 - as asked for
        if "mode" in values:
            os.chmod(target, values["mode"])  # noqa: PTH101

    def _append(self, values: Mapping[str, Any]) -> None:
        self._tool("append", path=values["path"])
        self._save(values["path"], "a", values["content"])

    def _replace(self, values: Mapping[str, Any]) -> None:
        self._tool("replace", path=values["path"])
        try:
            with open(self._inside(values["path"]), encoding="utf-8", newline="") as file:  # noqa: PTH123
                text = file.read()
        except (FileNotFoundError, UnicodeDecodeError, IsADirectoryError) as error:
            raise Failed(f"replace: {values['path']!r} can't be read as text.") from error
        if values["old"] not in text:
            raise Failed(f"replace: {values['path']!r} does not hold {values['old'][:80]!r}.")
        self._save(values["path"], "w", text.replace(values["old"], values["new"]))

    def _delete(self, values: Mapping[str, Any]) -> None:
        self._tool("delete", path=values["path"])
        parent, name = os.path.split(values["path"].rstrip("/"))
        target = os.path.join(self._inside(parent) if parent else self._workspace, name)  # noqa: PTH118
        if os.path.isdir(target) and not os.path.islink(target):  # noqa: PTH112, PTH114
            import shutil  # noqa: PLC0415 - rarely needed, and slow to import

            shutil.rmtree(target)
            return
        try:
            os.unlink(target)  # noqa: PTH108
        except FileNotFoundError as error:
            raise Failed(f"delete: {values['path']!r} does not exist.") from error

    def _save(self, path: str, mode: str, content: str) -> str:
        target = self._inside(path)
        os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
        with open(target, mode, encoding="utf-8", newline="") as file:  # noqa: PTH123
            file.write(content)
        return target

    # Programs -----------------------------------------------------------------------------------------

    def _run(self, values: Mapping[str, Any]) -> None:
        import subprocess  # noqa: PLC0415 - only cassettes with `run` pay for it
        import tempfile  # noqa: PLC0415

        from shiftwork.shells import shell_argv, unsteered  # noqa: PLC0415

        self._tool("run", command=values["command"])
        # Into a file, not a pipe: what the command leaves in the background must not keep us waiting.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                shell_argv(values["command"]),
                env=unsteered(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
            output.seek(max(0, output.tell() - _RESULT_BYTES))
            text = output.read(_RESULT_BYTES).decode("utf-8", "replace")
        emit("tool_result", ok=done.returncode == 0, text=text, data={"status": done.returncode})

    def _spawn(self, values: Mapping[str, Any]) -> None:
        import subprocess  # noqa: PLC0415

        from shiftwork.shells import shell_argv, unsteered  # noqa: PLC0415

        self._tool("spawn", command=values["command"])
        # It keeps our standard error open on purpose: a harness that waits for its end would hang.
        child = subprocess.Popen(
            shell_argv(values["command"]),
            env=unsteered(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            start_new_session=True,
        )
        child.returncode = 0  # It outlives us by design; nobody waits for it.

    # Words --------------------------------------------------------------------------------------------

    def _say(self, values: Mapping[str, Any]) -> None:
        emit("text", text=values["text"])

    def _decision(self, values: Mapping[str, Any]) -> None:
        self._leave_line("decisions.jsonl", dict(values))

    def _progress(self, values: Mapping[str, Any]) -> None:
        self._leave_line("progress.jsonl", dict(values))

    def _handoff(self, values: Mapping[str, Any]) -> None:
        self.leave("handoff.json", dict(values))

    def _usage(self, values: Mapping[str, Any]) -> None:
        emit("usage", **values)

    # Endings and troubles -----------------------------------------------------------------------------

    def _ask(self, values: Mapping[str, Any]) -> None:
        self.leave("question.json", {"question": values["question"]})
        emit("question", text=values["question"])
        raise TurnOver

    def _rate_limit(self, values: Mapping[str, Any]) -> None:
        from datetime import UTC, datetime, timedelta  # noqa: PLC0415

        until = datetime.now(UTC) + timedelta(seconds=values["seconds"])
        emit("rate_limited", until=until.isoformat())
        raise TurnOver

    def _sleep(self, values: Mapping[str, Any]) -> None:
        time.sleep(values["seconds"])

    def _flood(self, values: Mapping[str, Any]) -> None:
        left = int(values["megabytes"] * 1_000_000)
        block = _FLOOD_LINE * 64
        while left > 0:
            left -= sys.stdout.buffer.write(block[:left] if left < len(block) else block)
        sys.stdout.buffer.write(b"\n")
        sys.stdout.buffer.flush()

    def _hang(self, values: Mapping[str, Any]) -> None:  # noqa: ARG002 - it has none
        while True:
            time.sleep(3600)

    def _exit(self, values: Mapping[str, Any]) -> None:
        sys.stdout.flush()
        os._exit(values["status"])
