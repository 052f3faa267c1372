"""Taking secrets out of whatever is stored or shown."""

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, AnyStr

import re2

from shiftwork.secrets.beginnings import Beginnings
from shiftwork.secrets.certain import texts, tokens
from shiftwork.secrets.excerpt import cut_at, without_beginnings
from shiftwork.secrets.fingerprints import Fingerprints, fingerprints, merged, replaced
from shiftwork.secrets.forms import SHORTEST, Escape, Form, forms, pattern, tail_pattern
from shiftwork.secrets.issuers import default_shapes
from shiftwork.secrets.nested import redact_nested
from shiftwork.secrets.reference import Secret
from shiftwork.secrets.scanner import Finder, Hit, Scanner, Span, compile_any, compile_bytes, whole_set
from shiftwork.secrets.shapes import OPENING_WIDTH, WIDTH, Shape
from shiftwork.secrets.shown import as_shown
from shiftwork.secrets.spelling import OPENING_WIDTH as SPELT_OPENING
from shiftwork.secrets.spelling import any_opening
from shiftwork.secrets.stream import RedactingStream, RedactingText

_BEFORE = "[redacted:"
_OPENING = 4
SHORTEST_MATCH = 8
"""Bytes of the shortest text that any expression matches."""
_WHITE = re.compile(rb"\\[rn]|[\r\n]")
_UNUSUAL = re.compile(r"[^0-9A-Za-z_./:@-]")


class Redactor:
    """Replaces known values, in all their usual forms, and tokens of known shapes.

    In place of a secret stands `[redacted:NAME]`, in place of a token `[redacted:KIND]`. What is known by its
    fingerprint alone is treated as a known value is, except in streams and in what is to be committed. A text
    that would hold a secret once it is shown (see `shiftwork.text.printable`) becomes what is shown of it.

    Args:
        ordinary: what is no secret though it is the value of one: names of users, hosts, databases.

    Attributes:
        known: finds the known values.
        shapes: finds the tokens.
        prints: finds what is known by its fingerprint alone.
        unprotected: names of the secrets that are too short or too ordinary to be looked for.
    """

    def __init__(
        self,
        secrets: Iterable[Secret] = (),
        shapes: Iterable[Shape] | None = None,
        *,
        ordinary: Iterable[str] = (),
    ) -> None:
        self._secrets = tuple(secrets)
        self._ordinary = frozenset(word.casefold() for word in ordinary)
        self._shape_list = default_shapes() if shapes is None else tuple(shapes)
        names: dict[Form, str] = {}
        short: list[str] = []
        for secret in self._secrets:
            value = secret.reveal()
            found = forms(value) if value.casefold() not in self._ordinary else ()
            if not found:
                short.append(secret.name)
            for form in found:
                names.setdefault(form, secret.name)
        self.unprotected = tuple(dict.fromkeys(short))
        self.known, known_patterns = _known(names)
        self.shapes, shape_patterns = _shapes(self._shape_list)
        self._any = compile_any([*known_patterns, *shape_patterns])
        self._names = names
        self.prints = Fingerprints()

    @cached_property
    def unmistakable(self) -> Scanner:
        """Finds the tokens for which a commit is refused."""
        return _shapes([shape for shape in self._shape_list if shape.unmistakable])[0]

    @cached_property
    def beginnings(self) -> Beginnings:
        """Tells where a known value may have begun."""
        return Beginnings(self._names)

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets, {len(self._shape_list)} shapes)"

    def extended(self, secrets: Iterable[Secret]) -> "Redactor":
        """One that knows these secrets too."""
        made = Redactor((*self._secrets, *secrets), self._shape_list, ordinary=self._ordinary)
        return made.recognising(self.prints)

    def recognising(self, prints: Fingerprints) -> "Redactor":
        """One that also finds what has these fingerprints, instead of any that it has by now."""
        made = copy.copy(self)
        made.prints = prints
        return made

    def fingerprints(self, key: bytes) -> bytes:
        """What makes another redactor, that does not know the values, find them: see `fingerprints`."""
        return fingerprints({form: _label(name) for form, name in self._names.items()}, key)

    def was_told(self, secret: Secret) -> bool:
        """Whether this is one of its secrets, looked for or not."""
        return secret in self._secrets

    def redact(self, text: AnyStr) -> AnyStr:
        """The text, or bytes, without secrets; the very same object if it holds none."""
        if len(text) < SHORTEST_MATCH and text.isascii():
            return text
        if isinstance(text, bytes):
            return self._redact(text)
        done = self._redact_text(text)
        plain = as_shown(done)
        again = plain if plain is done else self._redact_text(plain)
        return done if again is plain else again

    def redact_json(self, value: Any) -> Any:
        """A copy of a nested value in which every text is redacted, keys too; numbers stay."""
        return redact_nested(value, self.redact)

    def redact_exact(self, value: Any) -> Any:
        """The same for what must stay as it is: only texts in which a secret is beyond doubt are altered."""
        if self.secret_in(value) is None:
            return value
        return redact_nested(value, lambda text: text if self.secret_in(text) is None else self.redact(text))

    def redact_excerpts(self, value: Any) -> Any:
        """The same for texts that may be cut: of such a one, what may begin a secret at its end goes."""
        return redact_nested(value, self._excerpt)

    def secret_in(self, value: Any) -> str | None:
        """The name of a known secret, or the kind of an unmistakable token, in a nested value; or None."""
        for text in texts(value):
            if name := self._secret_in_text(text):
                return name
            plain = as_shown(text)
            if plain is not text and (name := self._secret_in_text(plain)):
                return name
        return None

    def stream(self) -> RedactingStream:
        """A stream that redacts bytes as they come."""
        return RedactingStream((self.known, self.shapes))

    def text_stream(self) -> RedactingText:
        """A stream that redacts text as it comes."""
        return RedactingText(self.stream())

    def known_in(self, data: bytes) -> str | None:
        """The name of the first known secret that the data holds in any form, or None."""
        hit = self.known.find(data)
        return self._recognised_in(data) if hit is None else _name(hit.label)

    def may_hold(self, data: bytes) -> bool:
        """Whether there is anything to redact in the data."""
        return any(expression.search(data) is not None for expression in self._any)

    def _excerpt(self, text: Any) -> Any:
        if not isinstance(text, str) or cut_at(text) is None:
            return self.redact(text)
        plain = as_shown(text)
        end = cut_at(plain)
        assert end is not None
        return without_beginnings(plain, end, self.text_stream())

    def _secret_in_text(self, text: str) -> str | None:
        data = text.encode("utf-8", "surrogatepass")
        if name := self._recognised_in(data):
            return name
        if not self.may_hold(data):
            return None
        if name := self.known_in(data):
            return name
        for hit, _ in tokens(self.unmistakable, data):
            return _name(hit.label)
        return None

    def _recognised_in(self, data: bytes) -> str | None:
        spans = self.prints.spans(data)
        return _name(spans[0].label) if spans else None

    def _redact_text(self, text: str) -> str:
        data = text.encode("utf-8", "surrogatepass")
        done = self._redact(data)
        return text if done is data else decode(done)

    def _redact(self, data: bytes) -> bytes:
        if recognised := self.prints.spans(data):
            # Together: either may hold the other, of which a part would be left.
            known: list[Span] = Finder(self.known).feed(data, last=True).spans
            data = replaced(data, merged([*recognised, *known]))
        return self.stream().close(data) if self.may_hold(data) else data


def _name(label: bytes) -> str:
    return label.decode().removeprefix(_BEFORE).removesuffix("]")


def _label(name: str) -> bytes:
    return f"{_BEFORE}{_UNUSUAL.sub('?', name)[:80]}]".encode()


def _known(names: Mapping[Form, str]) -> tuple[Scanner, list[bytes]]:
    """A scanner for known values, longest first, and its expressions."""
    ordered = sorted(names, key=lambda form: (-len(form.text), form))
    escape = Escape()
    labels = {form.text: (_label(names[form]), tail_pattern(form.tail)) for form in ordered}
    patterns = [pattern(form, escape) for form in ordered]
    spelt = [number for number, form in enumerate(ordered) if form.escapes]
    which = whole_set([patterns[number] for number in spelt])

    def meaning(matched: bytes, begin: int) -> Hit:
        known = labels.get(matched) or labels.get(_WHITE.sub(b"", matched))
        label, tail = known or labels[ordered[spelt[min(which.Match(matched))]].text]
        return Hit(begin, begin, begin + len(matched), label, tail)

    openings = sorted({Form(form.text[:_OPENING], form.wraps) for form in ordered if not form.escapes})
    begun = [pattern(opening, escape) for opening in openings]
    begun += sorted({any_opening(ordered[number].text[:_OPENING]) for number in spelt})
    scanner = Scanner(
        patterns,
        [opening + rb"(?s:.)*\z" for opening in begun],
        width=max((form.width for form in ordered), default=SHORTEST),
        opening_width=max([SPELT_OPENING, *(opening.width for opening in openings)]) if ordered else _OPENING,
        meaning=meaning,
    )
    return scanner, patterns


def _shapes(shapes: Sequence[Shape]) -> tuple[Scanner, list[bytes]]:
    """A scanner for tokens, and its expressions."""
    each = [_CompiledShape(shape) for shape in shapes]

    patterns = [shape.bare for shape in each]
    which = whole_set(patterns)

    def meaning(matched: bytes, begin: int) -> Hit:
        number: int = min(which.Match(matched))
        return each[number].hit(matched, begin)

    scanner = Scanner(
        patterns,
        [shape.begun for shape in each],
        width=WIDTH,
        opening_width=OPENING_WIDTH,
        meaning=meaning,
    )
    return scanner, patterns


class _CompiledShape:
    def __init__(self, shape: Shape) -> None:
        self._pattern = shape.pattern
        self._label = _label(shape.kind)
        self._tail = tail_pattern(shape.tail)
        self.bare = shape.pattern.replace("(?P<secret>", "(?:").encode()
        opening = shape.opening.replace("(?P<secret>", "(?:")
        opening += ")" * (opening.count("(") - opening.count(")"))
        body = f"[{shape.body}]" if shape.body else "(?s:.)"
        self.begun = rf"{opening}{body}*\z".encode()

    @cached_property
    def _expression(self) -> "re2._Regexp":
        # Of a hundred, few are ever found in anything.
        return compile_bytes(self._pattern.encode())

    def hit(self, matched: bytes, begin: int) -> Hit:
        """The secret in what the expression matched."""
        found = self._expression.fullmatch(matched)
        start, end = found.span(1)  # the one group that an expression has
        return Hit(begin, begin + start, begin + end, self._label, self._tail)


def decode(data: bytes) -> str:
    """Text out of redacted bytes."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")
