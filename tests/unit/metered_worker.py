"""A process with a session's gateway and its meter, to be killed; says where its agent finds it."""

import asyncio
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from activities.ending import AttemptRows
from activities.metering import Meter
from activities.orphans import WorkerRecord
from activities.services import Services
from activities.stop import Stop
from shiftwork.contracts.session import Role
from shiftwork.gateway import Gateway, Policy, Upstream, Wire
from shiftwork.sandbox.choose import cheap_sandbox
from shiftwork.secrets import LazyRedactor
from shiftwork.settings import Settings
from shiftwork.store.store import Store


async def main(database_url: str, model: str, project_id: str, folder: str) -> None:
    state = Path(folder)
    settings = replace(Settings(state=state), database_url=database_url)
    async with Store(database_url) as store, Gateway() as gateway:
        parts = settings, store, cheap_sandbox(), {}, WorkerRecord(state), gateway, LazyRedactor({})
        async with store.transaction() as tx:
            project = await tx.projects.get(project_id)
            session = await tx.sessions.begin(project_id, 1, None, Role.SESSION, datetime.now(UTC))
            attempt = await tx.attempts.begin(session.id, "host", 60)
        rows = AttemptRows(project, None, session, attempt, project.options.agent)
        async with Meter(Services(*parts), rows, Stop()) as meter:
            policy = Policy(
                upstream=Upstream(Wire.ANTHROPIC, model), on_call=meter.count, settle=meter.settle
            )
            async with gateway.open(policy) as opened:
                print(json.dumps([opened.port, opened.token]), flush=True)
                await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*json.loads(sys.argv[1])))
