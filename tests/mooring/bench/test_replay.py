"""A replay is measured on a platform of its own, and its rows again by themselves."""

from datetime import date

from mooring.bench.replay import measure_replay

BASKETS_OF_THE_FIRST_DAY = 298


async def test_a_day_is_replayed_and_its_rows_are_inserted_again() -> None:
    result = await measure_replay(date(2017, 1, 2))
    seconds, memory, *rest = result.figures
    assert result.details["activities"] == BASKETS_OF_THE_FIRST_DAY
    assert seconds.limit is not None
    assert 0 < seconds.limit < seconds.value
    assert memory.unit == "MB"
    assert memory.value > 100  # how much follows from what else this process has run
    assert [figure.name for figure in rest] == [
        "activities",
        "CPU of web",
        "CPU of members-worker-1",
        "CPU of points-worker-1",
        "CPU of events-worker-1",
        "CPU of replay client",
        "CPU of all",
    ]
    files = {file["file"]: file["rows"] for file in result.details["raw"]}
    assert files["events.activities.journal.db"] == BASKETS_OF_THE_FIRST_DAY
    assert files["events.decisions.journal.db"] == BASKETS_OF_THE_FIRST_DAY
    assert files["events.activities.v1.db"] == BASKETS_OF_THE_FIRST_DAY
    assert files["points.entries.v1.db"] == files["points.entries.journal.db"]
