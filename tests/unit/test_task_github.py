"""Tasks of `github`, against an HTTP server that answers as GitHub does."""

import json
import time

import pytest

from shiftwork.contracts.task import TaskErrorKind
from shiftwork.errors import InvalidInput, LeaseLost
from shiftwork.tasks.github import GitHubProcessor
from tests.unit.github_support import TOKEN, says, small_github
from tests.unit.task_support import Told, assignment, equipment

HERE = {"repository": "octo/hello"}
COMMENT = {**HERE, "action": "comment", "number": 1}


@pytest.fixture
async def hub():
    async with small_github() as running:
        yield running


@pytest.fixture
async def github(hub, tmp_path, monkeypatch):
    """A processor of a worker that may write, with a token."""
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    async with equipment(
        tmp_path,
        SHIFTWORK_GITHUB_API_URL=hub.url,
        SHIFTWORK_GITHUB_TOKEN="env:MY_TOKEN",
        SHIFTWORK_OUTWARD_PROVIDERS="github",
    ) as lent:
        processor = GitHubProcessor(lent)
        processor.redact = lent.redactor.redact
        yield processor


async def test_an_instruction_alone_reads(hub, github):
    """If it failed, the simplest task of all would need parameters."""
    done = await github.process(assignment(None, "octo/hello"))
    assert (done.success, json.loads(done.result)["default_branch"]) == (True, "main")
    assert "secret_field" not in done.result
    hub.comments.append({"body": "Me too.", "user": {"login": "bob"}, "created_at": "now"})
    done = await github.process(assignment(None, " octo/hello#1 "))
    issue = json.loads(done.result)
    assert (issue["title"], issue["user"], issue["labels"]) == ("It is broken", "ada", ["bug"])
    assert issue["comments"] == [{"user": "bob", "created_at": "now", "body": "Me too."}]
    assert done.trace["url"].endswith("/issues/1")


async def test_all_of_a_long_list_is_read(hub, github):
    """If it failed, what was said late in a long issue would be missing."""
    hub.comments += [{"body": f"n{number}", "user": None} for number in range(230)]
    done = await github.process(assignment(None, "octo/hello#1"))
    assert [each["body"] for each in json.loads(done.result)["comments"]][-1] == "n229"
    done = await github.process(assignment(None, action="list_issues", limit=5, **HERE))
    assert [each["number"] for each in json.loads(done.result)] == [1]
    assert hub.seen[-1] == "GET /repos/octo/hello/issues?state=open&per_page=5"


@pytest.mark.parametrize(
    ("parameters", "kept", "facts"),
    [
        (COMMENT, "comments", {}),
        ({**HERE, "action": "create_issue", "title": "New", "labels": ["bug"]}, "issues", {"title": "New"}),
        (
            {**HERE, "action": "create_pull_request", "title": "Mend", "head": "mend", "base": "main"},
            "pulls",
            {"head": "mend", "base": "main", "draft": False},
        ),
    ],
)
async def test_what_is_written_is_written_once(hub, github, parameters, kept, facts):
    """If it failed, a lost answer, or an attempt begun again, would say everything twice."""
    before = len(getattr(hub, kept))
    hub.deaf = 1
    done = await github.process(assignment(None, "What I have to say.", **parameters))
    assert (done.success, done.trace["made_by_an_earlier_attempt"]) == (True, True)
    again = await github.process(assignment(None, "What I have to say.", attempt=2, **parameters))
    assert json.loads(again.result) == json.loads(done.result)
    (made,) = getattr(hub, kept)[before:]
    assert made["body"].startswith("What I have to say.\n\n<!-- shiftwork task 3d6f1a5e")
    assert facts.items() <= made.items()


async def test_a_second_attempt_writes_what_the_first_did_not(hub, github):
    """If it failed, a worker that was lost just before would leave it unsaid."""
    done = await github.process(assignment(None, "Hello.", attempt=2, **COMMENT))
    assert (done.success, len(hub.comments)) == (True, 1)
    assert "made_by_an_earlier_attempt" not in done.trace


async def test_an_attempt_that_was_superseded_writes_nothing(hub, github):
    """If it failed, a worker that was only stopped would say it once more when it goes on."""
    with pytest.raises(LeaseLost):
        await github.process(assignment(Told(refuse=LeaseLost("another's")), "Hello.", **COMMENT))
    assert hub.comments == []


async def test_the_token_goes_to_github_alone(hub, github):
    """If it failed, another host, the rows or the log would get the token."""
    await github.process(assignment(None, "octo/hello"))
    assert hub.tokens == [f"Bearer {TOKEN}"]
    assert TOKEN not in github.redact(f"it is {TOKEN}")
    done = await github.process(assignment(None, "octo/elsewhere"))
    assert "status 301" in done.error
    done = await github.process(assignment(None, "octo/old"))
    assert json.loads(done.result)["full_name"] == "octo/hello"


@pytest.mark.parametrize(
    "limit",
    [
        {"status": 429, "retry_after": "1"},
        {"status": 403, "retry_after": "1", "message": "You have exceeded a secondary rate limit"},
        {"status": 403, "x_ratelimit_remaining": "0", "message": "API rate limit exceeded"},
        {"status": 502},
    ],
    ids=["429", "secondary", "primary", "trouble"],
)
async def test_what_passes_is_waited_for(hub, github, limit):
    """If it failed, a task would fail where a second of patience helps."""
    if "x_ratelimit_remaining" in limit:
        limit = {**limit, "x_ratelimit_reset": str(int(time.time()))}
    hub.moods.append(says(**limit))
    told = Told()
    since = time.monotonic()
    done = await github.process(assignment(told, "octo/hello"))
    assert done.success
    assert time.monotonic() - since >= 0.9
    assert ("limited_until" in (told.facts or [{}])[0]) == (limit["status"] != 502)


async def test_a_limit_that_lasts_too_long_is_told(hub, github):
    """If it failed, a task would wait until its time is over without a word."""
    hub.moods.append(
        says(403, "limit", x_ratelimit_remaining="0", x_ratelimit_reset=str(int(time.time()) + 900))
    )
    done = await github.process(assignment(None, "octo/hello"))
    assert (done.success, done.error_kind) == (False, TaskErrorKind.FAILED)
    assert "GitHub takes no more for 90" in done.error


@pytest.mark.parametrize(
    ("status", "says_so"),
    [
        (401, "does not know the token"),
        (403, "the token may not do that"),
        (404, "no such thing"),
        (422, "422"),
    ],
)
async def test_a_refusal_is_final(hub, github, status, says_so):
    """If it failed, GitHub would be asked in vain again and again, or nobody would know what to do."""
    hub.moods.append(says(status, "Because."))
    done = await github.process(assignment(None, "octo/hello"))
    assert (done.success, len(hub.seen)) == (False, 1)
    assert says_so in done.error
    assert "(Because)" in done.error


@pytest.mark.parametrize(
    ("instruction", "parameters", "says_so"),
    [
        ("do something", {}, "parameter 'action': is missing"),
        ("", {**HERE, "action": "merge"}, "'merge' is not known; known are 'read_repository'"),
        ("", {**HERE, "action": "read_issue"}, "the action 'read_issue' needs the parameter 'number'"),
        ("", {"action": "read_repository", "repository": "octo/../user"}, "parameter 'repository'"),
        ("", {"action": "read_repository", "repository": "octo/.."}, "is no repository"),
        (
            "",
            {**HERE, "action": "read_repository", "token": "x"},
            "parameter 'token': is not known; known are",
        ),
        (" ", COMMENT, "a comment needs a text"),
    ],
)
async def test_what_can_not_be_done_is_refused(hub, github, instruction, parameters, says_so):
    """If it failed, a mistake would reach GitHub, or somewhere else there than it says."""
    with pytest.raises(InvalidInput, match=says_so.replace("(", "\\(")):
        await github.process(assignment(None, instruction, **parameters))
    assert hub.seen == []


async def test_nothing_is_written_unless_a_setting_allows_it(hub, tmp_path):
    """If it failed, anybody who may make tasks could write on GitHub in the name of the worker."""
    async with equipment(tmp_path, SHIFTWORK_GITHUB_API_URL=hub.url) as lent:
        github = GitHubProcessor(lent)
        with pytest.raises(InvalidInput, match="SHIFTWORK_OUTWARD_PROVIDERS"):
            await github.process(assignment(None, "Hello.", **COMMENT))
        assert hub.seen == []
        assert (await github.process(assignment(None, "octo/hello"))).success
        assert hub.tokens == [None]
        hub.moods.append(says(403))
        assert "that needs a token" in (await github.process(assignment(None, "octo/hello"))).error


@pytest.mark.parametrize(
    ("settings", "says_so"),
    [
        ({"SHIFTWORK_GITHUB_API_URL": "http://github.example"}, "others could read the token"),
        ({"SHIFTWORK_GITHUB_API_URL": "github.example"}, "write it as https://HOST"),
        ({"SHIFTWORK_GITHUB_TOKEN": TOKEN}, "is given by reference"),
        ({"SHIFTWORK_GITHUB_TOKEN": "env:NO_SUCH_TOKEN"}, "set the variable NO_SUCH_TOKEN"),
    ],
)
async def test_wrong_settings_are_told_without_the_token(tmp_path, settings, says_so):
    """If it failed, a token would be sent in the open, or shown in an error."""
    async with equipment(tmp_path, **settings) as lent:
        with pytest.raises(InvalidInput, match=says_so) as raised:
            await GitHubProcessor(lent).process(assignment(None, "octo/hello"))
    assert TOKEN not in str(raised.value)


async def test_a_server_that_is_not_there_is_told(tmp_path):
    """If it failed, a mistyped address would look like a fault of ours."""
    async with equipment(tmp_path, SHIFTWORK_GITHUB_API_URL="http://127.0.0.1:9") as lent:
        done = await GitHubProcessor(lent).process(assignment(None, "octo/hello", timeout=2.5))
    assert not done.success
    assert "GitHub" in done.error
