"""What `logs` shows of a transcript, whatever the agent said."""

import json
from datetime import UTC, datetime

import pytest

from client.cli.logs import _transcript, said
from client.cli.output import print_json, print_json_line
from client.patience import PatientStore
from shiftwork.contracts.session import Role
from shiftwork.settings import Settings
from shiftwork.store.migrate import migrate
from shiftwork.store.rows import TranscriptItem, TranscriptRow

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def row(**payload) -> TranscriptRow:
    return TranscriptRow(session_id=1, attempt=1, sequence=1, kind="tool_use", payload=payload, at=AT)


@pytest.mark.parametrize(
    "payload",
    [
        {"text": "a\n12:00:00  finished: success"},
        {"model": "m\n12:00:00  finished: success"},
        {"conversation": "c\u0085x\u2028y\u2029z"},
        {"cost_usd": 0.5, "data": {"cost_usd": "no\nnumber"}},
        {"data": {"cost_usd": "no\nnumber"}},
        {"data": {"input": "x\r\n12:00:00  finished: success", "n\nm": 1}},
    ],
)
def test_only_its_first_line_is_at_the_margin(payload):
    """Otherwise an agent could write lines that look like ours."""
    first, *others = said(row(**payload)).splitlines()
    assert all(line.startswith("    ") for line in others)
    assert "tool_use:" in first


@pytest.mark.parametrize("show", [print_json, print_json_line])
def test_json_steers_no_terminal(show, capsys):
    """Otherwise an agent's words could move a terminal's cursor, or show another order than they have."""
    told = "é\x1b[2J \x9b2J \x7f \u202e txt.exe \u2066 \u2028"
    show({"text": told})
    printed = capsys.readouterr().out
    assert not [
        c
        for c in printed
        if c != "\n" and (ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2066\u2028")
    ]
    assert "é" in printed
    assert json.loads(printed) == {"text": told}


async def test_a_transcript_is_read_by_the_page(database_url, tmp_path):
    """Otherwise a long transcript would be loaded as a whole, or parts of it be shown twice or never."""
    await migrate(database_url)
    environ = {"SHIFTWORK_STATE": str(tmp_path), "SHIFTWORK_DATABASE_URL": database_url}
    async with PatientStore(Settings.from_environment(environ)) as store:
        async with store.transaction() as tx:
            project = await tx.projects.create("chat")
            session = await tx.sessions.begin(project.id, 1, None, Role.SESSION, AT)
            for number in (1, 2):
                attempt = await tx.attempts.begin(session.id, "host", 30)
                items = [TranscriptItem(sequence=n, kind="text", payload={"n": n}) for n in range(600)]
                await tx.transcript.append(session.id, number, attempt.token, items)

        async def shown(last):
            return [
                (item.attempt, item.sequence)
                async for item in _transcript(store, session, last, follow=False)
            ]

        everything = [(attempt, n) for attempt in (1, 2) for n in range(600)]
        assert await shown(None) == everything
        for last in (0, 1, 601, 1200, 5000):
            assert await shown(last) == (everything[-last:] if last else [])
