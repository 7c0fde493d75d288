"""The order of starting, by table and by property."""

from hypothesis import given
from hypothesis import strategies as st

from streamserver.plugins.order import start_order

NAMES = "abcdef"


def test_dependencies_start_first_and_each_once() -> None:
    result = start_order({"chat": ["files", "gate"], "files": ["gate"], "gate": []})
    assert result.order == ("gate", "files", "chat")
    assert result.impossible == {}


def test_without_dependencies_the_order_is_the_one_found() -> None:
    assert start_order({"b": [], "a": [], "c": []}).order == ("b", "a", "c")


def test_a_missing_plugin_is_named_with_the_path_to_it() -> None:
    result = start_order({"chat": ["files"], "files": ["gone"], "alone": []})
    assert result.order == ("alone",)
    assert "'gone', which is not installed (files -> gone)" in result.impossible["files"].replace(
        "chat -> ", ""
    )
    assert "chat -> files" in result.impossible["chat"]


def test_a_circle_is_named_and_keeps_only_those_in_it_and_behind_it_from_starting() -> None:
    result = start_order({"x": ["a"], "a": ["b"], "b": ["c"], "c": ["a"], "alone": []})
    assert result.order == ("alone",)
    assert set(result.impossible) == {"x", "a", "b", "c"}
    assert "a -> b -> c -> a" in result.impossible["b"]
    assert "a -> b -> c -> a" in result.impossible["x"]


def test_a_plugin_that_needs_itself_is_a_circle() -> None:
    assert "a -> a" in start_order({"a": ["a"]}).impossible["a"]


def test_a_plugin_that_could_not_be_loaded_is_not_called_missing() -> None:
    result = start_order({"chat": ["files"]}, {"files": "SyntaxError: invalid syntax"})
    assert "cannot be used" in result.impossible["chat"]
    assert "SyntaxError" in result.impossible["chat"]


@given(
    st.dictionaries(
        st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=3, unique=True), max_size=6
    )
)
def test_every_plugin_either_starts_after_what_it_needs_or_has_a_reason(
    dependencies: dict[str, list[str]],
) -> None:
    result = start_order(dependencies)
    assert sorted([*result.order, *result.impossible]) == sorted(dependencies)
    for place, name in enumerate(result.order):
        assert set(dependencies[name]) <= set(result.order[:place])
    for name in result.impossible:
        assert set(dependencies[name]) - set(result.order), f"{name} could have started"
