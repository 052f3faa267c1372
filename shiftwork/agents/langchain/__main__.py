"""The process of the backend `langchain`: `python -P -m shiftwork.agents.langchain`.

It is told what to do by a file in its home and the prompt on its standard input, and says what it does as one
JSON event a line on standard output; see `docs/langchain.md`.
"""

import asyncio
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path

from shiftwork.agents.langchain.config import CONFIG_FILE, CONFIG_VARIABLE, TOKEN_VARIABLE, ProgramConfig
from shiftwork.agents.langchain.program.gathering import gather_late
from shiftwork.agents.langchain.program.voice import Voice, take_standard_output
from shiftwork.importing import uncollected

_TERMINATED = 128 + signal.SIGTERM


def main() -> int:
    """Do what the brief asks for; 0 if the agent did what it meant to do."""
    voice = take_standard_output()
    # Tracing would send conversations to somebody else.
    os.environ.update(LANGSMITH_TRACING="false", LANGCHAIN_TRACING_V2="false")
    try:
        return asyncio.run(_main(voice))
    except Exception as error:  # noqa: BLE001 - the last word on standard output is always ours
        traceback.print_exc()
        voice.say("finished", ok=False, text=f"The agent's program failed: {type(error).__name__}: {error}")
        return 1


async def _main(voice: Voice) -> int:
    gather_late()
    # Seconds of imports, in which a signal still ends the process by itself.
    with uncollected():
        from shiftwork.agents.langchain.program.run import Run, read_prompt  # noqa: PLC0415

    config, home = _config()
    brief, outbox = _folder("SHIFTWORK_BRIEF"), _folder("SHIFTWORK_OUTBOX")
    token = os.environ.pop(TOKEN_VARIABLE, "")
    run = Run(config, home, brief, outbox, token, read_prompt(brief), voice)
    working = asyncio.ensure_future(run.perform())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
    try:
        status = await working
    except asyncio.CancelledError:
        status = _TERMINATED
        run.memory.save()
    run.workspace.shell.end_all()
    shutil.rmtree(run.home_of_commands, ignore_errors=True)
    sys.stderr.flush()
    # Threads that wait for a tool of somebody's would keep the process; all is said and on the disk.
    os._exit(status)


def _config() -> tuple[ProgramConfig, Path | None]:
    """What the program is told, and the folder where it keeps its state, if it has one."""
    told = os.environ.pop(CONFIG_VARIABLE, None)
    if told is not None:
        return ProgramConfig.model_validate_json(told), None
    home = Path(sys.argv[1]).parent if len(sys.argv) > 1 else Path(os.environ["HOME"])
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else home / CONFIG_FILE
    return ProgramConfig.model_validate_json(path.read_bytes()), home


def _folder(variable: str) -> Path | None:
    return Path(os.environ[variable]) if os.environ.get(variable) else None


if __name__ == "__main__":
    sys.exit(main())
