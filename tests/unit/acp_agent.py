"""A tiny ACP agent for tests; its first argument is the name of what it does with the prompt."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import acp
from acp.schema import AgentCapabilities, Cost, InitializeResponse, PermissionOption, ToolCallUpdate, Usage
from acp.schema import UsageUpdate as Spent

MODELS = {
    "id": "model",
    "name": "Model",
    "category": "model",
    "type": "select",
    "currentValue": "small",
    "options": [{"value": "small", "name": "Small"}, {"value": "large", "name": "Large"}],
}


class TinyAgent(acp.Agent):
    def __init__(self, does: str) -> None:
        self._does = getattr(self, does.replace("-", "_"))
        self._cancelled = asyncio.Event()
        self._cwd = ""
        self._model = "small"
        self._spent = 0.0

    def on_connect(self, conn):
        self.client = conn

    async def initialize(self, protocol_version, **_):
        loads = self._does != self.forgets
        return InitializeResponse(
            protocol_version=protocol_version, agent_capabilities=AgentCapabilities(load_session=loads)
        )

    async def new_session(self, cwd, **_):
        if self._does == self.locked:
            raise acp.RequestError.auth_required({"details": "log in first"})
        self._cwd = cwd
        return acp.NewSessionResponse.model_validate({"sessionId": "new-1", "configOptions": [MODELS]})

    async def load_session(self, cwd, session_id, **_):
        if session_id == "unknown":
            raise acp.RequestError.resource_not_found(session_id)
        self._cwd = cwd
        await self.tell(acp.update_agent_message_text("said long ago"), session_id)
        await self.spend(0.5, session_id)
        return acp.LoadSessionResponse()

    async def set_config_option(self, config_id, session_id, value, **_):
        if value == "none":
            raise acp.RequestError.invalid_params({"details": "no such model"})
        self._model = value
        return acp.SetSessionConfigOptionResponse.model_validate({"configOptions": [MODELS]})

    async def prompt(self, session_id, prompt, **_):
        self._session = session_id
        self._prompt = prompt[0].text
        answer = await self._does() or "end_turn"
        return answer if isinstance(answer, acp.PromptResponse) else acp.PromptResponse(stop_reason=answer)

    async def cancel(self, session_id, **_):
        self._cancelled.set()

    async def tell(self, update, session=None):
        await self.client.session_update(session_id=session or self._session, update=update)

    async def say(self, text):
        await self.tell(acp.update_agent_message_text(text))

    async def spend(self, usd, session=None):
        self._spent += usd
        cost = Cost(amount=self._spent, currency="USD")
        await self.tell(Spent(session_update="usage_update", used=1, size=9, cost=cost), session)

    # What it may do -----------------------------------------------------------------------------------

    async def echoes(self):
        for piece in (self._prompt, f" [{self._model}]", f" in {self._cwd}"):
            await self.say(piece)

    async def forgets(self):
        await self.echoes()

    async def locked(self):
        raise AssertionError("nobody is logged in")

    async def works(self):
        await self.tell(acp.update_agent_thought_text("Let me see."))
        await self.tell(acp.start_tool_call("c1", "shell", kind="execute", status="pending"))
        await self.tell(acp.update_tool_call("c1", status="in_progress", raw_input={"command": "ls"}))
        content = [acp.tool_content(acp.text_block("a.txt"))]
        await self.tell(acp.update_tool_call("c1", title="List", status="completed", content=content))
        await self.tell(acp.start_tool_call("c2", "fetch", status="failed", raw_output={"error": "no net"}))
        await self.spend(0.25)
        await self.spend(0.5)
        await self.say("Done.")
        usage = Usage(
            total_tokens=18, input_tokens=10, output_tokens=4, thought_tokens=1, cached_read_tokens=3
        )
        return acp.PromptResponse(stop_reason="end_turn", usage=usage)

    async def asks(self):
        options = [
            PermissionOption(option_id=f"id-{kind}", name=kind, kind=kind)
            for kind in ("allow_always", "allow_once", "reject_once")
        ]
        answer = await self.client.request_permission(
            session_id=self._session, tool_call=ToolCallUpdate(tool_call_id="c1"), options=options
        )
        await self.say(answer.outcome.option_id)

    async def files(self):
        """Does the file operations that the prompt lists as JSON, and says what came of each."""
        said = []
        for what, path, *content in json.loads(self._prompt):
            operation = self.client.write_text_file if what == "write" else self.client.read_text_file
            given = {"content": content[0]} if what == "write" else {}
            try:
                answer = await operation(session_id=self._session, path=path, **given)
                said.append(getattr(answer, "content", "ok"))
            except acp.RequestError as error:
                said.append(str((error.data or {}).get("details") or error))
        await self.say(json.dumps(said))

    async def runs(self):
        """Runs the prompt in a terminal, then one that has to be killed."""
        client = self.client
        made = await client.create_terminal(session_id=self._session, command=self._prompt)
        which = {"session_id": self._session, "terminal_id": made.terminal_id}
        ended = await client.wait_for_terminal_exit(**which)
        shown = await client.terminal_output(**which)
        await client.release_terminal(**which)
        made = await client.create_terminal(session_id=self._session, command="sleep", args=["1000"])
        which["terminal_id"] = made.terminal_id
        await client.kill_terminal(**which)
        killed = await client.wait_for_terminal_exit(**which)
        await self.say(json.dumps([ended.exit_code, shown.output, killed.signal]))

    async def waits(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        await self.say("waiting")
        await self._cancelled.wait()
        Path(self._cwd, "cancelled").touch()
        return "cancelled"

    async def dies(self):
        await self.say("so far")
        # What holds the output open must not hide that the agent is gone.
        subprocess.Popen(["sleep", "1000"])  # noqa: ASYNC220 - it is meant to stay behind
        print("out of luck", file=sys.stderr, flush=True)
        os._exit(3)

    async def babbles(self):
        os.write(1, b"this is no JSON\n")
        await self.say("still here")

    async def ends(self):
        return self._prompt

    async def breaks(self):
        raise acp.RequestError.internal_error({"details": "the model is gone"})


if __name__ == "__main__":
    asyncio.run(acp.run_agent(TinyAgent(sys.argv[1])))
