"""Text that others wrote, in Markdown, so that a reader can tell it from what the harness says."""

from shiftwork.text import printable


def quote(text: str) -> str:
    """Each line as a quotation."""
    return "\n".join(f"> {line}" for line in printable(text).splitlines())


def fence(text: str) -> str:
    """A fenced block; the fence is longer than any run of backquotes inside."""
    cleaned = printable(text)
    fence = "```"
    while fence in cleaned:
        fence += "`"
    return f"{fence}\n{cleaned}\n{fence}"
