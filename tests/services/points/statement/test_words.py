"""Every line of a statement says in plain words, in each language, what happened."""

import ast
from datetime import date
from pathlib import Path
from string import Formatter
from typing import Any, get_args

import pytest

import services.points
from contracts.events import Grant, ReturnedLine, ReturnedPurchase
from contracts.points import AdjustmentTerms, EntryKind, HoldTerms, PointsPosted
from kit.clock import DAY
from services.points.domain.adjusting import Adjust
from services.points.domain.advancing import Advance
from services.points.domain.earning import Earn, Earned, TakeBack, credits
from services.points.domain.holding import Cancel, Capture, PlaceHold, Release
from services.points.domain.moving import EndSent, Receive, Send
from services.points.domain.phrases import (
    KINDS,
    LANGUAGES,
    PHRASES,
    Language,
    amount,
    number,
    written,
)
from services.points.domain.statement import Known, bonuses_of, masked, rewards_of, tell
from services.points.domain.terms import Credit
from services.points.statement_words import WORDS
from tests.services.points.ledger.book import RULES, ZONE, Book, moment, policy

NOW = moment(2026, 1, 20, 9)
REWARDS = {"mug": {"en": "Coffee mug", "zh": "咖啡杯"}}
REASONS = {"goodwill": {"en": "Goodwill", "zh": "补偿"}}
SPENDABLE = {"base": True, "tier": False}


class Telling:
    """A book, and what is said of its last entries."""

    def __init__(self, returns: str = "unlimited") -> None:
        self.book = Book(policy(returns))
        self.seq = 0
        self.earned: dict[int, Earned] = {}

    def earn(
        self, points: int, *mix: str, at: int = NOW, wallet: str = "base", bought: bool = True
    ) -> int:
        self.seq += 1
        lines = ((1, 100, points),) if bought else ()
        grants = tuple(Grant(campaign, wallet, points, lines) for campaign in mix or ("plain",))
        made = credits(RULES, grants, "", at, f"act_{self.seq}", self.seq)
        self.book.do(Earn("M1", f"act_{self.seq}", self.seq, at, grants, made))
        self.earned[self.seq] = Earned(grants, tuple(each.terms.lot for each in made))
        return self.seq

    def give_back(self, purchase: int, part: int, at: int) -> None:
        self.seq += 1
        lines = (ReturnedLine(1, 100, 0, part),)
        back = ReturnedPurchase(f"act_{purchase}", purchase, 0, part, part == 100, lines)
        earned = self.earned[purchase]
        self.book.do(TakeBack("M1", f"act_{self.seq}", self.seq, at, back, earned))

    def hold(self, points: int, reward: str | None = None, at: int = NOW, quantity: int = 1) -> str:
        hold = f"h{len(self.book.facts['M1'])}"
        until = at + 3 * DAY
        self.book.do(
            PlaceHold(
                "M1", f"k{hold}", hold, "base", points, at, until, "lunch", "M1", reward, quantity
            )
        )
        return hold

    def send(self, points: int, to: str, at: int = NOW, *, at_once: bool = False) -> None:
        until = at + 14 * DAY
        self.book.do(Send("M1", f"s{to}", f"t{to}", to, "base", points, at, until, "M1", at_once))

    def adjust(self, points: int, reason: str = "goodwill") -> None:
        asked = AdjustmentTerms("r1", "base", points, reason, "agent")
        (credit,) = credits(RULES, [Grant("plain", "base", points)], "", NOW, "", 0)
        into = Credit("base", points, credit.terms)
        self.book.do(Adjust("M1", f"a{points}", asked, NOW, 10**6, into))

    def wait(self, to: int) -> None:
        self.book.do(Advance("M1", to))

    def both(self, back: int = 1, **known: Any) -> tuple[str, str]:
        """What is said of the last entry, or one further back, in English and Chinese."""
        told = [tell(e, at, self.known(**known), "en") for e, at in self.entries()]
        chinese = [tell(e, at, self.known(**known), "zh") for e, at in self.entries()]
        return told[-back], chinese[-back]

    def entries(self) -> list[tuple[PointsPosted, int]]:
        steps = self.book.facts["M1"]
        return [(s.fact, s.at) for s in steps if isinstance(s.fact, PointsPosted)]

    def known(self, **more: Any) -> Known:
        entries = [entry for entry, _ in self.entries()]
        opened = {terms.lot: terms for entry in entries for terms in entry.vesting}
        needed = {lot: opened[lot] for lot in bonuses_of(entries)}
        return Known(
            ZONE,
            SPENDABLE,
            **{"rewards": REWARDS, "reasons": REASONS, "vesting": needed, **more},
        )


@pytest.fixture
def telling() -> Telling:
    return Telling()


def test_a_purchase(telling: Telling) -> None:
    telling.earn(1_200)
    assert telling.both() == ("Purchase: +1,200 points", "购物：+1,200 积分")


def test_one_point_of_something_else(telling: Telling) -> None:
    telling.earn(1, bought=False)
    assert telling.both() == ("Earned: +1 point", "获得：+1 积分")


def test_a_purchase_whose_points_wait(telling: Telling) -> None:
    telling.earn(120, "later")
    assert telling.both() == (
        "Purchase: +120 points, to spend from 3 February",
        "购物：+120 积分，2月3日起可用",
    )


def test_a_day_of_another_year_has_its_year(telling: Telling) -> None:
    telling.earn(120, "later", at=moment(2026, 12, 24, 9))
    assert telling.both() == (
        "Purchase: +120 points, to spend from 7 January 2027",
        "购物：+120 积分，2027年1月7日起可用",
    )


def test_a_purchase_of_which_each_part_waits_for_something_else(telling: Telling) -> None:
    telling.earn(30, "plain", "later", "await", "bonus")
    assert telling.both() == (
        "Purchase: +120 points, 30 of them to spend from 3 February, 30 of them to spend once "
        "confirmed, at the latest from 19 February, 30 of them unlocking in 3 instalments from "
        "20 February",
        "购物：+120 积分，其中 30 分2月3日起可用，其中 30 分确认后可用，最迟2月19日起可用，"
        "其中 30 分按 3 期解锁，2月20日起",
    )


def test_points_that_count_are_not_to_spend(telling: Telling) -> None:
    entry = telling_entry(telling, "tier")
    known = telling.known()
    assert tell(entry, NOW, known, "en") == "Purchase: +5 tier points, counting from 3 February"
    assert tell(entry, NOW, known, "zh") == "购物：+5 等级积分，2月3日起计入"


def telling_entry(telling: Telling, wallet: str) -> PointsPosted:
    """A purchase whose points in a wallet wait 14 days."""
    telling.seq += 1
    grants = (Grant("later", wallet, 5, ((1, 100, 5),)),)
    rule = RULES.overrides["base", "later", None]
    rules = type(RULES)(ZONE, {wallet: rule})
    made = credits(rules, grants, "", NOW, "act_1", telling.seq)
    telling.book.do(Earn("M1", "act_1", telling.seq, NOW, grants, made))
    return telling.book.last()


def test_a_wallet_of_the_programmes_own_goes_by_its_code() -> None:
    assert amount(2, "miles", "en") == "2 points (miles)"
    assert amount(2, "miles", "zh") == "2 积分（miles）"


def test_earnings_that_fill_a_negative_balance(telling: Telling) -> None:
    purchase = telling.earn(50)
    telling.book.do(Capture("M1", telling.hold(50), NOW, "M1"))
    telling.give_back(purchase, 100, NOW)
    assert telling.both() == (
        "Return: −50 points, 50 of them were no longer there: new points fill the balance up",
        "退货：−50 积分，其中 50 分已不在账户中，由以后获得的积分补足",
    )
    telling.earn(80)
    assert telling.both() == (
        "Purchase: +80 points, 50 of them fill the negative balance",
        "购物：+80 积分，其中 50 分用于补足负余额",
    )


def test_a_return_in_part_of_points_that_wait(telling: Telling) -> None:
    telling.give_back(telling.earn(100, "later"), 40, NOW)
    assert telling.both() == (
        "Return: −40 points, 40 of them were not open yet",
        "退货：−40 积分，其中 40 分尚未可用",
    )


def test_a_return_of_points_that_have_expired(telling: Telling) -> None:
    telling.give_back(telling.earn(100, "month"), 40, moment(2026, 3, 5))
    assert telling.both() == (
        "Return: −40 points, 40 of them had expired before",
        "退货：−40 积分，其中 40 分此前已过期",
    )


def test_a_return_of_which_the_policy_waives_a_part() -> None:
    telling = Telling("within_balance")
    purchase = telling.earn(100)
    telling.book.do(Capture("M1", telling.hold(70), NOW, "M1"))
    telling.give_back(purchase, 100, NOW)
    assert telling.both() == ("Return: −30 points, 70 waived", "退货：−30 积分，免扣 70 分")


def test_a_return_of_which_the_policy_waives_all() -> None:
    telling = Telling("only_pending")
    telling.give_back(telling.earn(100), 100, NOW)
    assert telling.both() == (
        "Return: nothing taken back, 100 waived",
        "退货：未扣回积分，免扣 100 分",
    )


def test_points_that_open(telling: Telling) -> None:
    telling.earn(120, "later")
    telling.wait(NOW + 20 * DAY)
    assert telling.both() == ("Now to spend: 120 points", "现可使用：120 积分")


def test_points_that_expire_say_their_last_day(telling: Telling) -> None:
    telling.earn(40, "month")
    telling.wait(moment(2026, 3, 5))
    assert telling.both() == (
        "Expired: 40 points, good until 28 February",
        "过期：40 积分，有效期至2月28日",
    )


def test_a_bonus_tells_which_instalment(telling: Telling) -> None:
    telling.earn(30, "bonus")
    telling.wait(NOW + 40 * DAY)
    assert telling.both() == (
        "Condition for instalment 1 of 3 not met, bonus lapsed: 30 points",
        "未满足第 1 期（共 3 期）的条件，奖励失效：30 积分",
    )
    assert telling.both(vesting={})[0] == "Condition not met, bonus lapsed: 30 points"


def test_an_instalment_that_unlocks_tells_which(telling: Telling) -> None:
    telling.book = Book(policy())
    telling.book.policy = type(telling.book.policy)(RULES)
    telling.earn(30, "bonus")
    telling.wait(NOW + 32 * DAY)
    assert telling.both() == (
        "Instalment 1 of 3 unlocked: 10 points",
        "第 1 期（共 3 期）解锁：10 积分",
    )
    assert telling.both(vesting={})[1] == "分期积分解锁：10 积分"


def test_a_redemption_is_told_by_its_rewards_name(telling: Telling) -> None:
    telling.earn(500)
    hold = telling.hold(70, "mug")
    assert telling.both() == ("Reserved for Coffee mug: 70 points", "为“咖啡杯”预留：70 积分")
    telling.book.do(Capture("M1", hold, NOW, "M1"))
    assert telling.both() == ("Redeemed for Coffee mug: 70 points", "兑换“咖啡杯”：70 积分")
    telling.book.do(Cancel("M1", hold, NOW, "M1", "changed my mind"))
    assert telling.both() == (
        "Redemption of Coffee mug cancelled: 70 points come back",
        "已取消兑换“咖啡杯”：退回 70 积分",
    )


def test_a_reward_that_is_not_known_goes_by_its_id(telling: Telling) -> None:
    telling.earn(500)
    telling.hold(70, "tea-pot", quantity=2)
    assert telling.both() == ("Reserved for 2 × tea-pot: 70 points", "为“tea-pot”× 2预留：70 积分")


def test_a_cancelled_redemption_tells_what_came_back_expired(telling: Telling) -> None:
    telling.earn(50, "month")
    telling.earn(50)
    hold = telling.hold(70, "mug")
    telling.book.do(Capture("M1", hold, NOW, "M1"))
    telling.book.do(Cancel("M1", hold, moment(2026, 3, 5), "M1", ""))
    assert telling.both() == (
        "Redemption of Coffee mug cancelled: 70 points come back, 50 of them expired meanwhile",
        "已取消兑换“咖啡杯”：退回 70 积分，其中 50 分已过期",
    )


def test_a_hold_goes_by_its_purpose_and_a_capture_tells_what_comes_back(telling: Telling) -> None:
    telling.earn(500)
    hold = telling.hold(70)
    assert telling.both() == ("Set aside for “lunch”: 70 points", "为“lunch”预留：70 积分")
    telling.book.do(Capture("M1", hold, NOW, "M1", 50))
    assert telling.both() == (
        "Paid for “lunch”: 50 points, 20 that were set aside come back",
        "支付“lunch”：50 积分，预留中退回 20 分",
    )


@pytest.mark.parametrize(
    ("reason", "english", "chinese"),
    [
        (
            "released",
            "Reservation of Coffee mug ended: 9 points",
            "“咖啡杯”的预留已结束",
        ),
        ("sold_out", "Coffee mug was sold out: 9 points", "“咖啡杯”已售罄"),
        (
            "I say so",
            "Reservation of Coffee mug ended: 9 points",
            "“咖啡杯”的预留已结束",
        ),
    ],
)
def test_a_release_says_why_unless_somebody_wrote_the_reason(
    telling: Telling, reason: str, english: str, chinese: str
) -> None:
    telling.earn(500)
    telling.book.do(Release("M1", telling.hold(9, "mug"), NOW, "M1", reason))
    assert telling.both() == (f"{english} come back", f"{chinese}：退回 9 积分")


def test_a_hold_whose_time_is_over(telling: Telling) -> None:
    telling.earn(500)
    telling.hold(9, "mug")
    telling.hold(8)
    telling.wait(NOW + 4 * DAY)
    assert telling.both(2) == (
        "Reservation of Coffee mug timed out: 9 points come back",
        "“咖啡杯”的预留已超时：退回 9 积分",
    )
    assert telling.both() == (
        "Time is up, no longer set aside for “lunch”: 8 points come back",
        "“lunch”的预留已超时：退回 8 积分",
    )


def test_a_transfer_shows_only_the_first_characters_of_the_other_member(telling: Telling) -> None:
    telling.earn(500)
    telling.send(50, "M20771")
    assert telling.both() == (
        "Sent to member M20…: 50 points, to be accepted by 3 February",
        "转给会员 M20…：50 积分，对方须在2月3日前接受",
    )
    assert telling.both(masked=False)[0].startswith("Sent to member M20771: 50 points")


def test_a_short_id_is_not_shown_whole() -> None:
    assert [masked(who) for who in ("A", "M2", "M22", "M222", "M222222")] == [
        "A…",
        "M…",
        "M…",
        "M2…",
        "M22…",
    ]


@pytest.mark.parametrize(
    ("reason", "english", "chinese"),
    [
        (
            "declined",
            "Declined by member M20…: 50 points come back",
            "会员 M20…未接受转赠：退回 50 积分",
        ),
        (
            "timed_out",
            "Not accepted in time by member M20…: 50 points come back",
            "会员 M20…未及时接受转赠：退回 50 积分",
        ),
        (
            "withdrawn",
            "Transfer to member M20… withdrawn: 50 points come back",
            "已撤回给会员 M20…的转赠：退回 50 积分",
        ),
        ("", "Sent to member M20…: 50 points come back", "给会员 M20…的转赠：退回 50 积分"),
    ],
)
def test_a_transfer_that_comes_back_says_why(
    telling: Telling, reason: str, english: str, chinese: str
) -> None:
    telling.earn(500)
    telling.send(50, "M20771")
    telling.book.do(EndSent("M1", "tM20771", NOW, False, reason))
    assert telling.both() == (english, chinese)


def test_a_household_pool_has_no_id_to_show(telling: Telling) -> None:
    telling.earn(500)
    telling.send(50, "@pool_abc", at_once=True)
    assert telling.both() == ("Sent to the household pool: 50 points", "转给家庭积分池：50 积分")
    telling.book.do(EndSent("M1", "t@pool_abc", NOW, False, "not in the pool"))
    assert telling.both() == (
        "Not a member of the household pool: 50 points come back",
        "不是家庭积分池的成员：退回 50 积分",
    )


def test_points_received(telling: Telling) -> None:
    giver = Telling()
    giver.earn(500)
    giver.send(50, "M1x")
    sent = giver.book.last().transfer
    assert sent is not None
    telling.book.do(Receive("M1", "M20771", sent, NOW, "M1"))
    assert telling.both() == ("Received from member M20…: 50 points", "收到会员 M20…转来：50 积分")


def test_a_correction_gives_its_reason_by_name(telling: Telling) -> None:
    telling.adjust(50)
    assert telling.both() == ("Adjustment (Goodwill): +50 points", "人工调整（补偿）：+50 积分")
    telling.adjust(-20)
    assert telling.both() == ("Adjustment (Goodwill): −20 points", "人工调整（补偿）：−20 积分")


def test_a_correction_for_a_reason_the_programme_dropped_says_less(telling: Telling) -> None:
    telling.adjust(50, "old_code")
    assert telling.both() == ("Adjustment: +50 points", "人工调整：+50 积分")


def test_names_are_asked_for_where_they_are_needed(telling: Telling) -> None:
    telling.earn(500, "bonus", "plain")
    telling.hold(9, "mug")
    telling.hold(9)
    telling.wait(NOW + 40 * DAY)
    entries = [entry for entry, _ in telling.entries()]
    assert rewards_of(entries) == {"mug"}
    assert bonuses_of(entries) == {"base.2026-03-31~vest-1.0": 1}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", get_args(EntryKind))
def test_every_kind_of_entry_has_words_whatever_its_reason(kind: Any, language: Language) -> None:
    """An entry with nothing in it but its kind: no phrase is missing, no place left unfilled."""
    for reason in (None, *produced_reasons(), "free text"):
        for reward in (None, "mug"):
            hold = HoldTerms("h", 0, "lunch", reward)
            entry = PointsPosted("e", "M1", kind, "", 0, (), {}, hold=hold, reason=reason)
            told = tell(entry, NOW, Known(ZONE), language)
            assert told
            assert not set("{}") & set(told)
            assert "free text" not in told
            assert "_" not in told
    assert KINDS[language][kind]


def produced_reasons() -> set[str]:
    """Reasons that the service itself gives: the codes written down in its modules."""
    return {"released", "timed_out", "declined", "withdrawn", "not in the pool", "sold_out"}


def test_the_reasons_that_the_domain_writes_are_all_known_here() -> None:
    """Every literal reason of a release, a decline or the end of a transfer in the sources."""
    given = set()
    for path in (Path(services.points.__file__).parent / "domain").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
                "release",
                "_declined",
            ):
                given |= {a.value for a in node.args if isinstance(a, ast.Constant)}
            if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "reason":
                given |= {node.value.value} if isinstance(node.value, ast.Constant) else set()
    given -= {"", None}
    assert given == {"released", "timed_out", "not in the pool"}
    assert given <= produced_reasons()


@pytest.mark.parametrize("tables", [PHRASES, KINDS, WORDS])
def test_every_table_has_the_same_words_with_the_same_places_in_each_language(tables: Any) -> None:
    english, chinese = tables["en"], tables["zh"]
    assert english.keys() == chinese.keys()
    for name, phrase in english.items():
        assert places(phrase) == places(chinese[name]), name
        assert phrase
        assert chinese[name]


def places(phrase: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(phrase) if name}


def test_chinese_has_no_english_and_no_narrow_punctuation_left_in_it() -> None:
    for table in (PHRASES["zh"], KINDS["zh"], WORDS["zh"]):
        for name, phrase in table.items():
            plain = "".join(text for text, *_ in Formatter().parse(phrase))
            assert not set(plain) & set(",.:;()!?"), phrase
            assert name == "lang" or not any(c.isascii() and c.isalpha() for c in plain), phrase


def test_numbers_and_days_read_as_each_language_writes_them() -> None:
    day = date(2017, 1, 19)
    assert [number(n) for n in (0, 1_234, -1_234_567)] == ["0", "1,234", "−1,234,567"]
    assert [number(n, signed=True) for n in (0, 5, -5)] == ["0", "+5", "−5"]
    assert (written(day, "en"), written(day, "zh")) == ("19 January 2017", "2017年1月19日")
