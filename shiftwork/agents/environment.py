"""How the programs of an agent that plays find its environment; imports nothing."""

URL_VARIABLE = "SHIFTWORK_ENVIRONMENT_URL"
"""Holds the address, path included."""

TOKEN_VARIABLE = "SHIFTWORK_ENVIRONMENT_TOKEN"  # noqa: S105 - a name, not a value
"""Holds what is shown there, as a bearer; worth nothing elsewhere, and nothing afterwards."""
