"""Names of tools that people and MCP servers bring."""

import re

import pytest
from langchain_core.tools import StructuredTool

from shiftwork.agents.langchain.program.endings import Troubled
from shiftwork.agents.langchain.program.naming import OWN_NAMES, fitted, own_named, told_apart


def tool(name: str) -> StructuredTool:
    return StructuredTool.from_function(lambda: name, name=name, description=name)


@pytest.mark.parametrize(
    ("name", "fit"),
    [
        ("price", "price"),
        ("shop.buy", "shop_buy"),
        ("shop / buy", "shop_buy"),
        ("2nd", "_2nd"),
        ("-x", "_-x"),
        ("", "_"),
        ("größe", "gr_e"),
    ],
)
def test_names_fit_every_provider(name, fit):
    """If it failed, every question would be refused because of the name of one tool."""
    assert fitted(name) == fit


def test_long_names_are_cut_and_stay_apart():
    """If it failed, of two tools whose long names begin alike one would vanish."""
    names = {fitted("a" * 80 + end) for end in "xy"}
    assert len(names) == 2
    assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}", name) for name in names)


def test_the_server_stands_before_a_name_that_is_not_alone():
    """If it failed, a server could replace the agent's own file tools, or another server's tools, unseen."""
    servers = {
        "shop": [tool("search"), tool("read_file"), tool("price")],
        "lib.rary": [tool("search"), tool("mine")],
    }
    tools = told_apart(servers, OWN_NAMES | {"mine"})
    assert {each.name: each.invoke({}) for each in tools} == {
        "shop_search": "search",
        "shop_read_file": "read_file",
        "price": "price",
        "lib_rary_search": "search",
        "lib_rary_mine": "mine",
    }


def test_names_stay_apart_and_as_they_are_whatever_the_order():
    """If it failed, a conversation that goes on would call another tool by a name than it did before."""
    servers = {"a": [tool("b_c"), tool("x.y"), tool("x_y")], "a_b": [tool("c"), tool("b_c")]}
    turned = {name: tools[::-1] for name, tools in reversed(servers.items())}
    named, again = (
        {each.name: each.description for each in told_apart(each, {"a_x_y", "c", "a_b_c"})}
        for each in (servers, turned)
    )
    assert named == again
    assert len(named) == 5
    assert not named.keys() & {"a_x_y", "c", "a_b_c"}


def test_a_server_with_two_tools_of_one_name_is_refused():
    """If it failed, one of them would be called for the other."""
    with pytest.raises(Troubled, match=r"'shop' has more than one tool called 'buy'"):
        told_apart({"shop": [tool("buy"), tool("buy")]}, frozenset())


def test_a_persons_tool_is_refused_under_the_name_of_another():
    """If it failed, a tool of one's own would silently take the place of another one."""
    assert [each.name for each in own_named([("m:buy", tool("shop.buy"))], OWN_NAMES)] == ["shop_buy"]
    with pytest.raises(Troubled, match=r"'m:read' is called 'read_file', as one of the agent's own is"):
        own_named([("m:read", tool("read_file"))], OWN_NAMES)
    with pytest.raises(Troubled, match=r"'m:a' and 'm:b' are both called 'shop_buy'"):
        own_named([("m:a", tool("shop.buy")), ("m:b", tool("shop_buy"))], OWN_NAMES)
