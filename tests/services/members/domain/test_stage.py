"""The five steps: climbed one by one on evidence, lost when it ceases to hold."""

from services.members.domain.relationship import advance, beginning, fold
from tests.services.members.domain.rules_for_tests import (
    DAY,
    RULES,
    START,
    activity,
    given_back,
    lived,
    purchase,
    records,
)

MICROSECOND = 1 / DAY


def test_a_member_nothing_is_known_of_stands_on_the_first_step() -> None:
    state = beginning(RULES)
    assert (state.stage, state.tier, state.due) == ("need", "member", ())


def test_a_first_purchase_climbs_two_steps_and_records_each() -> None:
    state, steps = lived([(START, purchase("p1"))])
    bodies = [transition.body for transition in steps[0].transitions]
    assert [(b.previous, b.stage, b.dwell) for b in bodies] == [
        ("need", "awareness", 0),
        ("awareness", "acceptance", 0),
    ]
    assert [transition.key for transition in steps[0].transitions] == [
        f"stage:1:{START}:awareness",
        f"stage:1:{START}:acceptance",
    ]
    assert bodies[1].evidence == {
        "contact": True,
        "kept_purchase": True,
        "repeat": False,
        "content": True,
        "open_complaint": False,
        "sustained": False,
        "advocacy": False,
    }
    assert bodies[1].facts == {
        "cause": "p1",
        "kept_purchases": 1,
        "last_purchase_seq": 1,
        "last_purchase_at": START,
        "expected_interval": 30 * DAY,
    }
    assert state.stage == "acceptance"


def test_the_time_on_a_step_is_kept_as_dwell() -> None:
    _, steps = lived([(START, activity("visit")), (START + 5 * DAY, purchase("p1"))])
    assert [t.body.dwell for t in steps[1].transitions] == [5 * DAY]


def test_only_the_first_of_several_steps_was_dwelt_on() -> None:
    spaced = [(START, activity("visit")), (START + 91 * DAY, purchase("p1"))]
    _, steps = lived(spaced)
    assert [(t.body.stage, t.body.dwell) for t in steps[1].transitions] == [
        ("need", 90 * DAY + 1),
        ("awareness", DAY - 1),
        ("acceptance", 0),
    ]


def test_the_last_review_counts_whenever_it_arrives() -> None:
    bought = [(START, purchase("p1")), (START + DAY, purchase("p2"))]
    good = (START + 3 * DAY, activity("review", "r2", rating=5))
    poor = (START + 2 * DAY, activity("review", "r1", rating=2))
    assert lived([*bought, good, poor])[0].stage == "satisfaction"
    assert lived([*bought, poor, good])[0].stage == "satisfaction"


def test_evidence_that_ends_at_the_clock_still_lapses() -> None:
    state, _ = lived([(START, activity("visit")), (START + 90 * DAY, activity("custom"))])
    assert (state.stage, [c.at - START for c in state.due]) == ("awareness", [90 * DAY + 1])


def test_a_second_purchase_in_time_satisfies_until_the_interval_is_over() -> None:
    visits = [(START, purchase("p1")), (START + 10 * DAY, purchase("p2"))]
    state, steps = lived([*visits, (START + 50 * DAY, activity("app_open"))])
    assert records(steps) == [
        ("awareness", 0),
        ("acceptance", 0),
        ("satisfaction", 10),
        ("acceptance", 40 + MICROSECOND),
    ]
    assert (state.stage, state.clock) == ("acceptance", START + 50 * DAY)


def test_what_time_brings_is_recorded_after_the_activity_before_it() -> None:
    visits = [(START, purchase("p1")), (START + 10 * DAY, purchase("p2"))]
    _, steps = lived([*visits, (START + 50 * DAY, activity("app_open"))])
    lapse = steps[2].transitions[0]
    assert (lapse.body.after_seq, "cause" in lapse.body.facts) == (2, False)
    assert lapse.body.dwell == 30 * DAY + 1


def test_a_gap_longer_than_expected_is_no_repeat() -> None:
    state, _ = lived([(START, purchase("p1")), (START + 31 * DAY, purchase("p2"))])
    assert state.stage == "acceptance"


def test_the_expected_interval_is_the_members_own() -> None:
    days = [0, 20, 40, 60]
    steps = [(START + day * DAY, purchase(f"p{day}")) for day in days]
    late, _ = lived([*steps, (START + 99 * DAY, purchase("in time"))])
    too_late, _ = lived([*steps, (START + 101 * DAY, purchase("too late"))])
    assert (late.stage, too_late.stage) == ("satisfaction", "acceptance")


def test_the_expected_interval_is_held_between_its_bounds() -> None:
    hourly = [(START + hour * DAY // 24, purchase(f"p{hour}")) for hour in range(5)]
    state, _ = lived(hourly)
    assert state.due[0].at == hourly[-1][0] + 7 * DAY + 1
    yearly = [(START + year * 365 * DAY, purchase(f"p{year}")) for year in range(5)]
    assert lived(yearly)[0].stage == "acceptance"


def test_a_poor_review_costs_satisfaction_and_a_better_one_wins_it_back() -> None:
    bought = [(START, purchase("p1")), (START + DAY, purchase("p2"))]
    poor = (START + 2 * DAY, activity("review", "r1", rating=2))
    better = (START + 3 * DAY, activity("review", "r2", rating=5))
    unrated = (START + 4 * DAY, activity("review", "r3"))
    assert lived([*bought, poor])[0].stage == "acceptance"
    assert lived([*bought, poor, better, unrated])[0].stage == "satisfaction"


def test_loyalty_takes_sustained_purchases_and_a_share() -> None:
    bought = [(START + day * DAY, purchase(f"p{day}")) for day in range(0, 60, 10)]
    share = (START + 50 * DAY, activity("share"))
    assert lived([*bought[1:], share])[0].stage == "satisfaction"
    state, steps = lived([*bought, share])
    assert (state.stage, records(steps)[-1]) == ("loyalty", ("loyalty", 50))


def test_silence_loses_every_step_that_rests_on_time_in_order() -> None:
    bought = [(START + day * DAY, purchase(f"p{day}")) for day in range(0, 60, 10)]
    state, _ = lived([*bought, (START + 50 * DAY, activity("share"))])
    step = advance(state, "M1", START + 1000 * DAY, RULES)
    assert records([step]) == [
        ("satisfaction", 70 + MICROSECOND),
        ("acceptance", 70 + MICROSECOND),
    ]
    assert step.state.due == ()
    assert step.state.clock == START + 70 * DAY + 1


def test_a_contact_is_forgotten_after_ninety_days() -> None:
    state, _ = lived([(START, activity("visit"))])
    assert [(c.at - START, c.stage) for c in state.due] == [(90 * DAY + 1, "need")]
    assert advance(state, "M1", START + 90 * DAY, RULES).state == state
    assert advance(state, "M1", START + 90 * DAY + 1, RULES).state.stage == "need"


def test_what_is_due_is_what_then_happens() -> None:
    bought = [(START + day * DAY, purchase(f"p{day}", 400_00)) for day in range(0, 60, 10)]
    state, _ = lived([*bought, (START + 50 * DAY, activity("share"))])
    step = advance(state, "M1", START + 1000 * DAY, RULES)
    assert step.state.changes[-len(state.due) :] == state.due
    assert [(c.tier, c.stage) for c in state.due] == [
        ("gold", "acceptance"),
        ("silver", "acceptance"),
        ("member", "acceptance"),
    ]


def test_a_daily_duty_and_a_later_activity_record_the_same_lapse() -> None:
    visits = [(START, purchase("p1")), (START + 10 * DAY, purchase("p2"))]
    state, _ = lived(visits)
    opened = activity("app_open", "o")
    told = advance(state, "M1", START + 41 * DAY, RULES)
    after_duty = fold(told.state, opened, 3, START + 50 * DAY, RULES)
    at_once = fold(state, opened, 3, START + 50 * DAY, RULES)
    assert told.transitions + after_duty.transitions == at_once.transitions
    assert after_duty.state == at_once.state


def test_a_return_in_full_ends_as_if_the_purchase_had_never_been() -> None:
    bought = purchase("p1", 700_00)
    back = given_back("r1", bought, 1, START)
    state, steps = lived([(START, bought), (START + DAY, back)])
    assert (state.stage, state.tier, state.due) == ("need", "member", ())
    assert records(steps)[-3:] == [("member", 1), ("awareness", 1), ("need", 1)]


def test_a_return_in_part_leaves_the_purchase_kept() -> None:
    bought = purchase("p1", 700_00)
    back = given_back("r1", bought, 1, START, 200_00)
    state, _ = lived([(START, bought), (START + DAY, back)])
    assert (state.stage, state.tier, state.known.kept) == ("acceptance", "member", 1)
    assert state.spend.total == 500_00


def test_a_return_without_its_purchase_changes_nothing_but_the_watermark() -> None:
    bought = [(START, purchase("p1"))]
    state, _ = lived(bought)
    after, steps = lived([*bought, (START, activity("return", "r1"))])
    assert (after.known, after.spend, after.stage) == (state.known, state.spend, state.stage)
    assert (after.absorbed, steps[1].transitions) == (2, ())


def test_the_card_keeps_its_last_changes_and_says_from_where_they_are_complete() -> None:
    away = 91 * DAY
    state, _ = lived([(START + n * away, activity("visit", f"v{n}")) for n in range(40)])
    assert len(state.changes) == RULES.recent_changes
    assert state.changes[0].after_seq + 1 == state.complete_from
    assert lived([(START, activity("visit"))])[0].complete_from == 0
