"""What an environment of somebody's own tells over MCP holds no secret that the server knows."""

import json
import os
import sys
from pathlib import Path

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.integration.mcp_support import COMMAND, environment

WORD = "mellon-9d41-speak-friend"
GAME = f'''
from shiftwork.environments import ActionDefinition, ActionResult, BaseHarness, Observation


class Door(BaseHarness):
    """A door; its word is {WORD}."""

    def __init__(self, word="{WORD}"):
        super().__init__("door", f"The word is {{word}}.")
        self.word = word

    async def reset(self, seed=None):
        return Observation(
            content=f"On it is written {{self.word}}.",
            metadata={{"written": [self.word]}},
            available_actions=self.get_action_space(),
        )

    async def step(self, action):
        if action == "knock":
            raise ValueError(f"nobody opens without {{self.word}}")
        seen = Observation(content={{"inside": self.word}}, content_type="json", done=True)
        return ActionResult(observation=seen, reward=1)

    def get_action_space(self):
        return [ActionDefinition(name="knock", description=self.word), ActionDefinition(name="speak")]
'''


def installed(folder: Path) -> None:
    """A package with the environment, as another distribution."""
    (folder / "door_of_tests.py").write_text(GAME, encoding="utf-8")
    about = folder / "door_of_tests-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: door-of-tests\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[shiftwork.environments]\ndoor = door_of_tests:Door\n")


async def test_no_answer_holds_a_secret_that_the_server_knows(tmp_path: Path) -> None:
    """If it failed, a key that an environment read from a file would go to a model, and to its provider."""
    installed(tmp_path)
    env = environment(tmp_path / "none") | {
        "DOOR_API_KEY": WORD,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
    }
    server = StdioServerParameters(command=sys.executable, args=COMMAND, env=env)
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        listed = await session.call_tool("list_environments", {})
        begun = await session.call_tool("start_episode", {"environment": "door", "seed": 1})
        this = {"session_id": begun.structuredContent["session_id"]}
        refused = await session.call_tool("harness_step", {**this, "action": "knock"})
        done = await session.call_tool("harness_step", {**this, "action": "speak"})
        again = await session.call_tool("harness_observe", this)
    assert refused.isError
    assert "nobody opens without [redacted:DOOR_API_KEY]" in refused.content[0].text
    seen = begun.structuredContent
    assert seen["content"] == "On it is written [redacted:DOOR_API_KEY]."
    assert [each["name"] for each in seen["available_actions"]] == ["knock", "speak"]
    assert done.structuredContent["content"] == {"inside": "[redacted:DOOR_API_KEY]"}
    assert done.structuredContent["reward"] == 1
    door = next(each for each in listed.structuredContent["environments"] if each["name"] == "door")
    assert door["parameters"][0]["default"] == "[redacted:DOOR_API_KEY]"
    told = json.dumps([each.model_dump(mode="json") for each in (listed, begun, refused, done, again)])
    assert WORD not in told
