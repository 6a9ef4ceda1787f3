import pytest

from kit.errors import ServiceError
from kit.http.paging import decode_cursor, encode_cursor


@pytest.mark.parametrize("position", [0, 41, [1_700_000_000_000_000, "M1/000000000007"]])
def test_a_cursor_gives_its_position_back(position: object):
    assert decode_cursor(encode_cursor(position), type(position)) == position


def test_a_cursor_can_stand_in_an_address_as_it_is():
    assert encode_cursor(["?>~", 255]).replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("cursor", ["", "x", "é", "AAAA", "bnVsbA", encode_cursor("text")])
def test_a_cursor_that_is_not_ours_is_refused_by_field(cursor: str):
    with pytest.raises(ServiceError) as caught:
        decode_cursor(cursor, int)
    assert (caught.value.kind, caught.value.code) == ("invalid", "bad_cursor")
    assert caught.value.facts["errors"][0]["field"] == "query.cursor"  # type: ignore[index]
