"""What an agent says and does, in one line for people."""

from client.cli.output import money
from shiftwork.store.rows import TranscriptRow
from shiftwork.text import one_line, truncate

_WIDTH = 160
_VERBS = {"tool_use": "uses", "tool_result": "got", "thinking": "thinks", "text": "says"}


def said_line(item: TranscriptRow) -> str:
    """The item on one line, shortened; terminal controls are left out."""
    payload = item.payload
    text = one_line(str(payload.get("text", "")))
    if item.kind == "usage":
        tokens = sum(int(payload.get(f"{kind}_tokens", 0)) for kind in _CLASSES)
        return f"used {tokens:,} tokens, {money(payload.get('cost_usd') or 0)}"
    if item.kind == "finished":
        return truncate(f"finished, {'ok' if payload.get('ok') else 'failed'} {text}".rstrip(), _WIDTH)
    if item.kind == "tool_use":
        facts = payload.get("data", {})
        told = next((one_line(str(facts[name])) for name in _TELLING if facts.get(name)), "")
        text = f"{text} {told}".rstrip()
    return truncate(f"{_VERBS.get(item.kind, item.kind.replace('_', ' '))} {text}".rstrip(), _WIDTH)


_CLASSES = ("input", "output", "cache_read", "cache_write")
_TELLING = ("command", "cmd", "path", "file_path", "filePath", "pattern", "query", "url", "input")
"""What a tool was given that tells most, the first that is there."""
