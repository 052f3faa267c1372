"""A session that may ask some models only: by which names, how it is refused, and what is known of it."""

import json

import pytest

from tests.unit.gateway_support import QUESTIONS, post, request, running, send


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("messages", {"type": "error", "error": {"type": "permission_error"}}),
        ("chat", {"error": {"type": "invalid_request_error", "param": None, "code": "model_not_found"}}),
        ("responses", {"error": {"type": "invalid_request_error", "param": None, "code": "model_not_found"}}),
        ("generate", {"error": {"code": 403, "status": "PERMISSION_DENIED"}}),
    ],
)
async def test_a_model_that_may_not_be_asked_is_refused_in_the_provider_s_words(kind, said):
    """If it failed, a program would take it for trouble that passes, or the harness would not know of it."""
    async with running(QUESTIONS[kind][0], models=("other", "m-*")) as run:
        answer = await send(run, request(run, kind))
        assert (answer.status, answer.headers["x-shiftwork-refused"]) == (403, "model")
        told = answer.json
        message = told["error"].pop("message")
        assert message.endswith("may ask no model but other, m-*, and each question has to name one.")
        assert told == said
        assert run.model.requests == []
        assert (run.session.refused_model, run.session.answered_since) == ("m", False)


@pytest.mark.parametrize(
    ("pattern", "model", "passes"),
    [
        ("claude-*", "claude-haiku-4-5", True),
        ("claude-*", "gpt-5", False),
        ("*", "anything", True),
        ("*", "", False),
        ("GPT-*", "gpt-5", False),
        ("gpt-[45]", "gpt-5", True),
        ("claude[1m]", "claude[1m]", True),
        ("claude-?", "claude-", False),
    ],
)
async def test_models_are_allowed_by_patterns(pattern, model, passes):
    """If it failed, each new version of a model would need an edit, or a pattern would allow too much."""
    async with running(models=("no", pattern)) as run:
        body = json.dumps({**QUESTIONS["messages"][2], "model": model}).encode()
        assert (await send(run, post(run, "/v1/messages", body))).status == (200 if passes else 403)
        assert len(run.model.requests) == passes
        assert run.session.refused_model == (None if passes else model)


async def test_a_session_knows_whether_a_model_answered_after_a_refused_one():
    """If it failed, a side question's refused model would look like the reason of every later failure."""
    async with running(models=("m",)) as run:
        other = json.dumps({**QUESTIONS["messages"][2], "model": "title"}).encode()
        known = []
        for sent in (request(run), post(run, "/v1/messages", other), request(run)):
            await send(run, sent)
            known.append((run.session.refused_model, run.session.answered_since))
    assert known == [(None, True), ("title", False), ("title", True)]
