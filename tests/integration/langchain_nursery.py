"""A process that has imported LangChain, and forks: each child is the program, started in no time.

It reads one JSON object a line: `{"env", "cwd", "stdin", "stdout", "stderr"}` starts one and answers with
`{"pid"}`; `{"wait": pid}` answers with `{"status"}` once that has ended.
"""

import json
import os
import sys
from typing import Any

from shiftwork.agents.langchain.program.gathering import gather_late


def main() -> None:
    gather_late()
    from shiftwork.agents.langchain.program import run  # noqa: F401 - what takes so long

    for package in ("langchain_anthropic", "langchain_openai", "langchain.chat_models"):
        __import__(package)
    import anthropic
    import openai

    anthropic.DefaultAsyncHttpxClient()
    openai.DefaultAsyncHttpxClient()
    _answer({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _answer({"status": os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])})
            continue
        if pid := os.fork():
            _answer({"pid": pid})
        else:
            _become(request)


def _become(request: dict[str, Any]) -> None:
    from shiftwork.agents.langchain import __main__ as program

    os.setsid()
    os.chdir(request["cwd"])
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, (name, mode) in enumerate((("stdin", os.O_RDONLY), ("stdout", flags), ("stderr", flags))):
        os.dup2(os.open(request[name], mode, 0o600), number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - the one before has read ahead
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = ["program"]
    os._exit(program.main())


def _answer(content: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
