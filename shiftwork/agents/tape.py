"""A cassette opened as quickly as possible: the player reads one feature's attempts, or the plan."""

from typing import Any

from shiftwork.agents.steps import Attempt, read_attempts
from shiftwork.agents.yamlplace import Place, open_yaml
from shiftwork.text import one_line

_KEYS = ("plan", "setup", "sessions")


class Tape:
    """An opened cassette file; raises `CassetteError` for what is wrong in the part that is asked for."""

    def __init__(self, path: str) -> None:
        self.root = open_yaml(path)
        self._keys = self.root.mapping()
        for name, place in self._keys.items():
            if name not in _KEYS:
                place.fail(f"key {name!r} is not known; known are {', '.join(_KEYS)}")

    @property
    def features(self) -> dict[str, Place]:
        """Where the attempts of each feature stand; names are spelled as features' names are stored."""
        sessions = self._keys.get("sessions")
        if sessions is None or sessions.is_null:
            return {}
        features: dict[str, Place] = {}
        for name, place in sessions.mapping().items():
            if one_line(name) in features:
                place.fail(f"feature {one_line(name)!r} has attempts already; give each feature one entry")
            features[one_line(name)] = place
        return features

    def attempts(self, feature: str) -> tuple[Attempt, ...] | None:
        """The attempts of this feature; None if the cassette says nothing of it."""
        place = self.features.get(one_line(feature))
        return None if place is None else read_attempts(place)

    @property
    def plan_place(self) -> Place | None:
        """Where the plan stands, or None."""
        plan = self._keys.get("plan")
        return None if plan is None or plan.is_null else plan

    @property
    def setup_place(self) -> Place | None:
        """Where the top-level set-up commands stand, or None."""
        setup = self._keys.get("setup")
        return None if setup is None or setup.is_null else setup

    def plan(self) -> dict[str, Any] | None:
        """The plan as `plan.json` holds it; a bare list are its features, set-up commands are joined."""
        place = self.plan_place
        if place is None:
            return None
        content = {"features": place.plain()} if place.is_sequence else place.plain()
        if isinstance(content, dict) and self.setup_place is not None:
            content["setup"] = [*_as_list(content.get("setup")), *_as_list(self.setup_place.plain())]
        if not isinstance(content, dict):
            place.fail("must be a mapping with `features`, or a list of features")
        return content


def _as_list(value: object) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
