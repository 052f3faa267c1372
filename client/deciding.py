"""What is shown of a decision besides its words: where it was made, what came of it, and who says so."""


def decided_in(session: int | None, feature: str) -> str:
    """The session and its feature, whose name is fit to be shown; '' if a person recorded the decision."""
    if session is None:
        return ""
    return f"{session}, {feature}" if feature else str(session)


def judged(outcome: str | None, score: float | None, judge: str | None) -> str:
    """The outcome with its score, and who judged; '' if nobody did yet."""
    if outcome is None:
        return ""
    told = "" if score is None else f" ({score:+g})"
    return f"{outcome}{told}{f', says {_WHO.get(judge, judge)}' if judge else ''}"


def whose(judge: str | None) -> str:
    """A remark behind the word `lesson`; '' for a person's, which is what one expects."""
    return " of the harness" if judge == "harness" else ""


_WHO = {"person": "a person", "harness": "the harness"}
