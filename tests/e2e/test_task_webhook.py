"""A receiver hears of the end of every task, whatever becomes of the workers that tell it."""

import asyncio
import base64
import hashlib
import hmac
import json

import pytest
from aiohttp import web
from sqlalchemy import text

from client.api import Shiftwork
from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.stack.dev import DevStack
from shiftwork.store.agents import AgentDefinition
from tests.e2e.lab import eventually
from tests.e2e.support import WorkerProcess, quick_environment, quick_settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

KEY = b"a secret of this test's own"


class Receiver:
    """Takes what it is told, as long as it is up; `hold` keeps it from answering."""

    def __init__(self) -> None:
        self.told: list[dict] = []
        self.ids: list[str] = []
        self.status = 204
        self.hold: asyncio.Event | None = None
        self.reached = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
        assert request.headers["webhook-signature"] == f"v1,{expected}"
        self.reached.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.status == 204:
            self.told.append(json.loads(body))
            self.ids.append(request.headers["webhook-id"])
        return web.Response(status=self.status)


@pytest.fixture
async def receiver():
    found = Receiver()
    app = web.Application()
    app.router.add_post("/hear", found.take)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hear"
    yield found
    await runner.cleanup()


async def again_now(shiftwork):
    """Do not wait for the half minute until what was not told is tried again."""
    async with shiftwork.store.transaction() as tx:
        await tx.connection.execute(text("UPDATE task_notices SET due_at = clock_timestamp()"))


async def test_every_end_is_told_whatever_is_killed(tmp_path, receiver):
    """If it failed, whoever monitors a stack would miss the failures that matter."""
    settings = quick_settings(tmp_path / "state")
    environment = quick_environment(
        settings.state,
        SHIFTWORK_TASK_WEBHOOK=receiver.url,
        SHIFTWORK_TASK_WEBHOOK_SECRET="env:HOOK",
        HOOK=KEY.decode(),
    )
    log = tmp_path / "worker.log"
    workers = [WorkerProcess(environment, log) for _ in range(2)]
    try:
        async with DevStack(settings), Shiftwork(settings) as shiftwork:
            workers[0].start()
            config = AgentConfiguration(timeout=30)
            agents = [
                await shiftwork.register_agent(name, AgentDefinition(kind="python", code=code, config=config))
                for name, code in (("well", "print('a result')"), ("ill", "raise ValueError('no')"))
            ]
            ran = [await shiftwork.wait_task((await shiftwork.run_agent(agent.id)).id) for agent in agents]
            idle = await shiftwork.cancel_task((await shiftwork.create_task("noop", "never run")).id)

            async def heard(count=3):
                return len(receiver.told) >= count

            await eventually(heard)
            first = {each["data"]["id"]: each for each in receiver.told}
            assert sorted(first) == [ran[0].id, ran[1].id, idle.id]
            assert first[ran[0].id]["type"] == "task.completed"
            assert first[ran[0].id]["data"]["agent"] == "well"
            assert "a result" not in json.dumps(receiver.told)
            assert first[ran[1].id]["type"] == first[idle.id]["type"] == "task.failed"
            assert "ValueError: no" in first[ran[1].id]["data"]["error"]
            assert first[idle.id]["data"]["error_kind"] == "cancelled"
            assert receiver.ids[0] == f"task-{first[int(receiver.told[0]['data']['id'])]['data']['uuid']}"

            # Killed while it tells: nobody knows whether it was heard, so it is told again, by another.
            receiver.hold = asyncio.Event()
            receiver.reached.clear()
            last = await shiftwork.wait_task((await shiftwork.run_agent("well")).id)
            await asyncio.wait_for(receiver.reached.wait(), 100)
            workers[0].kill()
            receiver.hold, hold = None, receiver.hold
            hold.set()
            for worker in workers:
                worker.start()
            await again_now(shiftwork)
            await eventually(lambda: heard(4))
            assert receiver.told[-1]["data"]["id"] == last.id

            # One that refuses is told later; what ends meanwhile is told, too, by one of the two workers.
            receiver.status, before = 500, len(receiver.told)
            more = [(await shiftwork.create_task("noop", f"{number}")).id for number in range(15)]
            for task in more:
                await shiftwork.start_task(task)
            for task in more:
                await shiftwork.wait_task(task)

            async def warned():
                return "answered with 500" in log.read_text()

            await eventually(warned)
            receiver.status = 204

            async def all_heard():
                await again_now(shiftwork)
                return {each["data"]["id"] for each in receiver.told[before:]} >= set(more)

            await eventually(all_heard, every=2)
            assert [worker.stop() for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
    assert KEY.decode() not in log.read_text()
