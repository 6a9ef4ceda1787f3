"""An activity's id follows from where it comes from."""

from services.events.domain.identity import ACTIVITY_ID, activity_id, is_source_of


def test_the_same_source_and_external_id_always_give_the_same_activity_id() -> None:
    assert activity_id("pos", "4711") == "act_5cpli2znqhbkbhmuc72l73sx"
    assert ACTIVITY_ID.fullmatch(activity_id("pos", "4711"))


def test_where_the_source_ends_and_the_external_id_begins_matters() -> None:
    assert activity_id("pos", "1x") != activity_id("pos1", "x")


def test_a_partner_has_the_source_of_its_name_and_those_below_it() -> None:
    own = ("north", "north.till-7", "north.a.b")
    others = ("north-stores", "north_2", "northern", "nort", "south.north", "")
    assert [source for source in (*own, *others) if is_source_of(source, "north")] == list(own)
