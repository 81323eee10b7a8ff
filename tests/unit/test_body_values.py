"""Bodies with too many values are refused before they are parsed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomic_web.errors import MalformedRequest
from atomic_web.http import body

LIMIT = 5

TEXT = st.text(st.sampled_from('",[]{}\\\\a:'), max_size=5)
JSON = st.recursive(
    st.none() | st.integers(0, 9) | TEXT,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(TEXT, values, max_size=4),
    max_leaves=12,
)


def count_values(value: Any) -> int:
    if isinstance(value, dict | list):
        members = value.values() if isinstance(value, dict) else value
        return len(value) + sum(map(count_values, members))
    return 0


def is_refused(text: str) -> bool:
    try:
        body._limit_values(text)
    except MalformedRequest:
        return True
    return False


@pytest.fixture(scope="module", autouse=True)
def low_limit() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(body, "MAX_VALUES", LIMIT)
        patch.setattr(body, "MAX_STRINGS", 2 * LIMIT + 1)
        yield


@given(JSON)
def test_json_within_the_limit_is_not_refused(value: Any) -> None:
    if count_values(value) <= LIMIT:
        assert not is_refused(json.dumps(value))


@pytest.mark.parametrize("count", [LIMIT, LIMIT + 1])
@pytest.mark.parametrize("value", ["{}", "[]", '""', "0", '",[{"', r'"\\"', r'"\""', r'"\\\""'])
def test_list_above_the_limit_is_refused(value: str, count: int) -> None:
    assert is_refused("[" + ",".join([value] * count) + "]") == (count > LIMIT)


@pytest.mark.parametrize("count", [LIMIT, LIMIT + 1])
def test_nested_values_count(count: int) -> None:
    assert is_refused("[" * (count + 1) + "]" * (count + 1)) == (count > LIMIT)


@pytest.mark.parametrize("text", ['"', '"\\', '["a', "\\", '"' * 100, "\\" * 101, ""])
def test_text_that_is_no_json_raises_nothing_else(text: str) -> None:
    is_refused(text)
