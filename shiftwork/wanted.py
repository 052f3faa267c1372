"""What a request asks for: a product that is to be built, one text, an answer, or nothing at all.

A verb of making counts where it asks or is asked for (`build …`, `please write …`, `I want you to make …`),
and what it makes is the head of the words behind it: of `an email about the project` the email, of
`an email client` the client. No grammar is known beyond that.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final


class Thing(Enum):
    """What kind of thing is to be made."""

    PRODUCT = auto()
    """Software, which takes more than one sitting."""
    PIECE = auto()
    """One text, or one small part of a program: an answer holds it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for.

    Attributes:
        things: what is to be made, as far as that is known.
        product: what the first product is called; '' if there is none.
        makes: something is to be made, known or not.
        works: it asks for work, whatever that is.
        question: it asks to be told something, and for nothing else.
        little: what is to be made is said to be small.
    """

    things: frozenset[Thing]
    product: str
    makes: bool
    works: bool
    question: bool
    little: bool


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_MAKING: Final = _set(
    "build create develop implement write make design program code port rewrite migrate refactor generate "
    "draft compose produce setup want need"
)
_WORKING: Final = _MAKING | _set(
    "add analyze analyse assess audit automate clean collect compare convert deploy document evaluate extend "
    "extract fix gather import improve index integrate investigate optimize optimise organize prepare "
    "process remove replace research restructure review scrape sort survey tag test update upgrade"
)
_PRODUCTS: Final = _set(
    "app apps application api service microservice server website site platform system game library "
    "framework compiler interpreter database engine dashboard backend frontend client bot plugin extension "
    "cli tool package shop store pipeline simulator editor prototype product codebase project software "
    "marketplace emulator debugger crawler browser clone generator parser wrapper sdk "
    "network"
)
_PIECES: Final = _set(
    "email mail letter message reply answer response note poem haiku limerick joke story tale song rap "
    "speech toast essay paragraph sentence summary abstract caption headline slogan tagline title name bio "
    "biography post tweet thread comment description explanation definition translation recipe plan list "
    "outline table quote review invitation announcement advertisement ad resume cv question quiz riddle "
    "regex query function method class variable constant script snippet oneliner one-liner line test "
    "schema dockerfile makefile docstring formula macro command dialogue scene lyrics diagram "
    "chart logo picture image"
)
_LITTLE: Final = _set(
    "quick quickly just only simple small tiny short little single minimal basic brief briefly"
)
_ENDS: Final = _set(
    "about for to of on with that which who in into from and or using by as where when without so"
)
"""Where the words end that say what is made."""

_LEADS: Final = _set(
    "to please and then also should must you now will we i us let's lets just only can could would help "
    "first finally"
)
"""What stands before a verb that asks for something."""

_NOT_MADE: Final = frozenset({("make", "sure"), ("code", "review"), ("need", "to"), ("want", "to")})
_REACH: Final = 9
"""Words behind a verb among which its object is looked for."""

_COURTESY: Final = re.compile(
    r"^(?:(?:hi|hello|hey|thanks|thank you|please|ok|okay|great|so|well|and|now|also|then|can you|could you|"
    r"would you|will you|i (?:want|need|would like) you to|i'd like you to|let's|just|first|finally)"
    r"(?: (?:there|all|again|so much|very much|a lot))?\b[\s,!.]*)+"
)
_QUESTION: Final = re.compile(
    r"^(?:what|why|who|whose|when|where|which|how|is|are|am|was|were|do|does|did|has|have|should|would|"
    r"explain|tell|define|describe|translate|summari[sz]e|rephrase|paraphrase|proofread|list|name|give|show|"
    r"recommend|suggest|remind|spell|count|calculate)\b"
)
_SENTENCE: Final = re.compile(r"[.!?;]+(?=\s|$)|\n+|,?\s(?:and )?then\s")
_WORD: Final = re.compile(r"[\w'’+#/-]+|[^\w\s]")


def wanted(text: str) -> Wanted:
    """What this request asks for, in lower case and with its lines."""
    text = text.replace("set up", "setup")
    clauses = [_COURTESY.sub("", part.strip()) for part in _SENTENCE.split(text)]
    clauses = [clause for clause in clauses if _WORD.search(clause)]
    worded = [_WORD.findall(clause) for clause in clauses]
    made = [found for words in worded for found in _made(words)]
    things = frozenset(thing for thing, _, _ in made if thing is not None)
    return Wanted(
        things=things,
        product=next((name for thing, name, _ in made if thing is Thing.PRODUCT), ""),
        makes=bool(made),
        works=bool(made) or any(_asks(words, at) for words in worded for at in _places(words, _WORKING)),
        question=any(map(_QUESTION.match, clauses)) and not any(words[0] in _WORKING for words in worded),
        little=any(little for *_, little in made) if made else any(_LITTLE & set(words) for words in worded),
    )


def _made(words: Sequence[str]) -> Iterator[tuple[Thing | None, str, bool]]:
    """What each verb of making makes: its kind, its name, and whether it is to be small.

    A clause that begins with `a` names what is wanted without a verb.
    """
    if words and words[0] in ("a", "an"):
        thing, name, little = _object(words[1:])
        if thing is Thing.PRODUCT:
            yield thing, name, little
    for place in _places(words, _MAKING):
        if not _asks(words, place):
            continue
        if words[place] == "write" and words[place + 1 : place + 2] == ["to"]:
            yield Thing.PIECE, "letter", False
            continue
        thing, name, little = _object(words[place + 1 :])
        yield thing, name, little or words[max(place - 1, 0)] in _LITTLE


def _places(words: Sequence[str], among: frozenset[str]) -> Iterator[int]:
    return (place for place, word in enumerate(words) if word in among)


def _asks(words: Sequence[str], place: int) -> bool:
    if tuple(words[place : place + 2]) in _NOT_MADE:
        return False
    before = words[place - 1] if place else ","
    return before in _LEADS or not before[0].isalnum()


def _object(words: Sequence[str]) -> tuple[Thing | None, str, bool]:
    """The last of the known nouns that stand together behind a verb."""
    thing, name, little = None, "", False
    for word in words[:_REACH]:
        if word in _ENDS or (not word[0].isalnum() and (thing is not None or word != ",")):
            break
        little = little or word in _LITTLE
        if word in _PRODUCTS or word in _PIECES:
            thing, name = (Thing.PRODUCT if word in _PRODUCTS else Thing.PIECE), word
    return thing, name, little
