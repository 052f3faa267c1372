"""Play the environment that this agent was given.

  play observe                       look at it again
  play step ACTION [NAME=VALUE …]    act; a VALUE is JSON where it can be read as such, else text,
                                     and @FILE is the text of a file
  play step ACTION '{…}'             act, with all parameters as one JSON object; '-' reads it from input
  play stats                         how the episode goes

  --json                             print the answer as JSON

Exit status: 0 if it was done, 1 if the environment refused it, 2 if it could not be asked.
"""

# Agents are given a copy of this file: it needs nothing but the standard library.

import base64
import http.client
import json
import os
import sys
import urllib.parse
from typing import Any

URL, TOKEN = "SHIFTWORK_ENVIRONMENT_URL", "SHIFTWORK_ENVIRONMENT_TOKEN"
PLACE = "play.json"
"""Beside this file: both, for programs whose tools don't get every variable."""

PATIENCE = 3_600.0
"""Seconds that an answer is waited for: some environments think long."""

SHOWN = 30
"""Actions that are listed; all are in the JSON."""


class Unusable(Exception):  # noqa: N818 - it names what happened
    """It could not be asked; the text says why."""


def main(arguments: "list[str]") -> int:
    """Do what is asked for; the exit status."""
    as_json = "--json" in arguments
    words = [word for word in arguments if word != "--json"]
    if not words or words[0] in ("-h", "--help", "help"):
        say(__doc__)
        return 0 if words else 2
    try:
        answer = ask(*connection(os.environ), question(words))
    except Unusable as error:
        sys.stderr.write(f"play: {error}\n")
        return 2
    say(json.dumps(answer, indent=2) if as_json else told(answer, save_image))
    return 0 if answer.get("ok") else 1


def say(text: str) -> None:
    """Print it, whatever the locale is."""
    sys.stdout.buffer.write(f"{text.rstrip()}\n".encode("utf-8", "replace"))


def question(words: "list[str]") -> "dict[str, Any]":
    """What is said for these words of a command line."""
    do, rest = words[0], words[1:]
    if do in ("observe", "stats") and not rest:
        return {"do": do}
    if do != "step" or not rest:
        raise Unusable("say observe, stats, or step ACTION with its parameters; --help tells more")
    return {"do": "step", "action": rest[0], "parameters": parameters(rest[1:])}


def parameters(words: "list[str]") -> "dict[str, Any]":
    """The parameters that these words give."""
    if len(words) == 1 and (words[0] == "-" or words[0].lstrip().startswith("{")):
        given = value(sys.stdin.read() if words[0] == "-" else words[0])
        if not isinstance(given, dict):
            raise Unusable("the parameters have to be a JSON object, such as '{\"number\": 50}'")
        return given
    named = [word.partition("=") for word in words]
    for name, equals, _ in named:
        if not (name and equals):
            raise Unusable(f"{name!r} is no parameter: write NAME=VALUE, or all of them as one JSON object")
    return {name: value(text) for name, _, text in named}


def value(text: str) -> Any:
    """The value that a text stands for."""
    if text.startswith("@"):
        try:
            with open(text[1:], encoding="utf-8") as file:  # noqa: PTH123 - quicker
                return file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise Unusable(f"{text[1:]!r} can't be read: {error}") from error
    try:
        return json.loads(text)
    except ValueError:
        return text


def connection(environ: Any) -> "tuple[str, str]":
    """The address of the environment, and what is shown there."""
    if environ.get(URL) and environ.get(TOKEN):
        return environ[URL], environ[TOKEN]
    beside = os.path.join(os.path.dirname(os.path.realpath(__file__)), PLACE)  # noqa: PTH118, PTH120
    try:
        with open(beside, encoding="utf-8") as file:  # noqa: PTH123
            place = json.load(file)
        return place["url"], place["token"]
    except (OSError, ValueError, KeyError) as error:
        raise Unusable(f"neither {URL} nor {beside} say where the environment is") from error


def ask(url: str, token: str, said: "dict[str, Any]") -> "dict[str, Any]":
    """The environment's answer; raises `Unusable` if there is none."""
    parts = urllib.parse.urlsplit(url)
    asked = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        asked.request("POST", parts.path, json.dumps(said).encode(), headers)
        answer = json.loads(asked.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unusable(f"the environment can't be reached: {error}") from error
    finally:
        asked.close()
    if not isinstance(answer, dict) or "ok" not in answer:  # the gateway's own refusal
        problem = answer.get("error") if isinstance(answer, dict) else answer
        raise Unusable(str(problem.get("message", problem) if isinstance(problem, dict) else problem))
    return answer


def told(answer: "dict[str, Any]", image: Any = None) -> str:
    """An answer for reading; `image` says what stands for a picture."""
    lines = [] if answer["ok"] else [f"Not done: {answer['error']}"]
    if answer.get("reward") is not None:
        lines.append(f"Reward: {answer['reward']:g}")
    for agent, reward in sorted(answer.get("rewards", {}).items()):
        lines.append(f"Reward of {agent}: {reward:g}")
    seen = answer.get("observation")
    if seen is not None:
        lines += ["", *perceived(seen, image), ""]
    if answer.get("over"):
        lines.append(f"The episode is over. {answer.get('why', '')}".rstrip())
    elif seen is not None:
        lines += actions(seen)
    if "steps" in answer:
        refused = f", {answer['refused']} of them refused" if answer["refused"] else ""
        lines.append(f"Steps: {answer['steps']}{refused}. Reward so far: {answer['total_reward']:g}.")
    return "\n".join(lines).strip()


def perceived(seen: "dict[str, Any]", image: Any = None) -> "list[str]":
    """What an observation shows."""
    kind, content = seen.get("content_type"), seen.get("content")
    if kind == "image":
        content = image(content) if image else "(A picture; the JSON holds it.)"
    elif not isinstance(content, str):
        content = json.dumps(content, indent=2, ensure_ascii=False)
    lines = [f"It is the turn of {seen['agent']}."] if seen.get("agent") else []
    lines.append(content)
    if seen.get("metadata"):
        lines.append(f"More: {json.dumps(seen['metadata'], ensure_ascii=False)}")
    return lines


def actions(seen: "dict[str, Any]") -> "list[str]":
    """The actions that may be taken now."""
    there = seen.get("available_actions") or []
    lines = ["Actions:"] if there else []
    for action in there[:SHOWN]:
        lines.append(f"- {action['name']}: {action.get('description', '')}".rstrip(": "))
        if action.get("parameters"):
            lines.append(f"  parameters: {json.dumps(action['parameters'], ensure_ascii=False)}")
    if len(there) > SHOWN:
        lines.append(f"- and {len(there) - SHOWN} more; --json lists all")
    return lines


def save_image(content: str) -> str:
    """Where a picture was saved."""
    data = base64.b64decode(content.partition(",")[2] if content.startswith("data:") else content)
    path = os.path.abspath("observation.png" if data.startswith(b"\x89PNG") else "observation.jpg")  # noqa: PTH100
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(data)
    return f"A picture, saved as {path}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
