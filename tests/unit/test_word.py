"""The line by which a verifier says its verdict: found where it is said, and nowhere else."""

import time

import pytest

from shiftwork.verification.word import CONSENT, VETO, consents, vetoes_in

SAYS_NO = ["VERDICT: veto: it is grey", "**VERDICT: veto: it is grey**", "VERDICT: veto:it is grey  "]
NO_VETO = {
    "the line as instructions show it": "VERDICT: veto: <why>",
    "the same, in bold": "**VERDICT: veto: <why>**",
    "within a sentence": "I have to end with `VERDICT: veto: why` or with VERDICT: consent",
    "quoted": "> VERDICT: veto: it is grey",
    "in a list": "- `VERDICT: veto: it is grey`",
    "in the margin of a file": "  3  VERDICT: veto: it is grey",
    "in a fenced block": "The script prints\n```\nVERDICT: veto: it is grey\n```\nand ends.",
    "in a block with a longer fence": "````text\n```\nVERDICT: veto: it is grey\n````",
    "in a block within a list": "- ```\n  VERDICT: veto: it is grey\n  ```\n- and more",
    "in a block of tildes": "~~~ a`b\nVERDICT: veto: it is grey\n```\n~~~~ \n",
    "in words": "This is no veto: the verdict is consent.",
    "in another case": "verdict: veto: it is grey",
    "as a part of a word": "VERDICT: vetoes are rare",
    "as JSON": '{"reason": "\\nVERDICT: veto: it is grey"}',
}


@pytest.mark.parametrize("line", SAYS_NO)
@pytest.mark.parametrize("around", ["{}", "I looked.\n\n{}", "{}\nThat was all.\n", "```\nx\n```\n{}"])
def test_a_line_that_vetoes_is_found(line: str, around: str) -> None:
    """A veto that does not bind because something stands around it."""
    assert vetoes_in(around.format(line)) == ("it is grey",)


def test_a_fence_that_is_never_closed_hides_no_veto() -> None:
    """A verifier that forgets to close its block would be taken for one that said nothing."""
    assert vetoes_in("```json\n{}\n\nVERDICT: veto: it is grey") == ("it is grey",)


@pytest.mark.parametrize(
    "text",
    [
        "```make``` failed:\n{}\nOutput was\n```\nx\n```\n",
        "````\n{}\n```\n\n",
        "- ```\n  x\n  ```\n{}\n```\nx\n```\n",
        "```\nx\n    ```\r\n{}\n```\nx\n```\n",
        "~~~\nx\n~~~~\n{}\n~~~\nx\n~~~\n",
        "> ```\n> x\n> ```\n{}\n```\nx\n```",
    ],
    ids=["code in a line", "shorter", "in a list", "indented", "tildes", "quoted"],
)
def test_what_only_looks_like_a_fence_hides_no_veto(text: str) -> None:
    """A verifier that shows what it saw would be taken for one that said nothing."""
    assert vetoes_in(text.format("VERDICT: veto: it is grey") + CONSENT) == ("it is grey",)


@pytest.mark.parametrize("piece", ["```x\n", "```\n```\n", "- ", "`", " \t", "```x` ", "1. ~~~\n", "** "])
def test_the_time_grows_with_the_text_alone(piece: str) -> None:
    """A verifier that is made to print fences would hold up the worker, and all that runs in it."""

    def seconds(size: int) -> float:
        text = f"VERDICT: veto: it is grey\n{piece * (size // len(piece))}\n{CONSENT}"
        times = []
        for _ in range(5):
            started = time.process_time()
            assert vetoes_in(text)
            assert consents(text)
            times.append(time.process_time() - started)
        return min(times)

    assert seconds(32_000) < 24 * max(seconds(4_000), 1e-4)


def test_a_veto_without_a_reason_is_one() -> None:
    """A verifier in a hurry would be taken for one that said nothing."""
    assert vetoes_in("VERDICT: veto") == ("no reason was given",)


@pytest.mark.parametrize("reason", ["<script>", "<h1> is missing <br>", "why", "...", "…", "<why> is shown"])
def test_only_the_instructions_own_line_is_no_veto(reason: str) -> None:
    """A verifier that names a tag, or is short of words, would be taken for one that said nothing."""
    assert vetoes_in(f"VERDICT: veto: {reason}\n{CONSENT}") == (reason,)


@pytest.mark.parametrize("text", NO_VETO.values(), ids=NO_VETO)
def test_what_only_looks_like_a_veto_is_none(text: str) -> None:
    """Good work that is thrown away because its verifier quoted something."""
    assert vetoes_in(text) == ()


@pytest.mark.parametrize(
    "text", [CONSENT, f"Fine.\n\n{CONSENT}\n", f"**{CONSENT}**", f"```\n{{}}\n```\n{CONSENT}."]
)
def test_a_message_that_ends_with_the_line_consents(text: str) -> None:
    """A verifier that does as it was told, and is asked again and again."""
    assert consents(text)
    assert vetoes_in(text) == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{CONSENT}\nBut look at the colour.",
        f"I would say {CONSENT}",
        f"{CONSENT}, if it were not grey",
        f"```\n{CONSENT}\n```",
        f"> {CONSENT}",
        f"{CONSENT}\n{VETO}it is grey",
    ],
)
def test_what_only_looks_like_consent_is_none(text: str) -> None:
    """Work that lands because its verifier quoted something."""
    assert not consents(text)
