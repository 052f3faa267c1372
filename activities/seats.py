"""Every kind of player that has to be asked for each action, and who seats it."""

from collections.abc import Mapping

from activities.agent_player import agent_player
from activities.command_player import command_player
from activities.players import Seats
from shiftwork.contracts.episode import PlayerKind


def seats() -> Mapping[PlayerKind, Seats]:
    """Those that this product has; `random` and `scripted` players sit in the environment's own process."""
    return {PlayerKind.COMMAND: command_player, PlayerKind.AGENT: agent_player}
