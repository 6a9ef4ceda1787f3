"""What a statement says, in each language: a table of phrases, and how dates and numbers read.

``{what}`` is an amount with what there is to say about it, ``{points}`` an amount, ``{n}`` a number
of points just named. Every table has the same phrases with the same places; a test holds that.
"""

from collections.abc import Mapping
from datetime import date
from typing import Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
MINUS = "\u2212"

ENGLISH: Mapping[str, str] = {
    "comma": ", ",
    "semicolon": "; ",
    "earn_purchase": "Purchase: {what}",
    "earn_other": "Earned: {what}",
    "opens": "to spend from {date}",
    "counts": "counting from {date}",
    "awaits": "to spend once confirmed",
    "awaits_until": "to spend once confirmed, at the latest from {date}",
    "vests": "unlocking in {count} instalments from {date}",
    "vests_plain": "unlocking in instalments",
    "part": "{n} of them {clause}",
    "filled": "{n} of them fill the negative balance",
    "return": "Return: {what}",
    "return_waiting": "{n} of them were not open yet",
    "return_expired": "{n} of them had expired before",
    "return_debt": "{n} of them were no longer there: new points fill the balance up",
    "return_forgiven": "{n} waived",
    "nothing": "nothing taken back",
    "activate": "Now to spend: {what}",
    "activate_counts": "Now counting: {what}",
    "activate_confirmed": "Confirmed, now to spend: {what}",
    "expire": "Expired: {what}, good until {date}",
    "expire_waiting": "before they opened",
    "vest": "Instalment {number} of {count} unlocked: {what}",
    "vest_plain": "Instalment unlocked: {what}",
    "forfeit": "Condition for instalment {number} of {count} not met, bonus lapsed: {what}",
    "forfeit_plain": "Condition not met, bonus lapsed: {what}",
    "hold_reward": "Reserved for {subject}: {what}",
    "hold_purpose": "Set aside for {subject}: {what}",
    "capture_reward": "Redeemed for {subject}: {what}",
    "capture_purpose": "Paid for {subject}: {what}",
    "capture_back": "{n} that were set aside come back",
    "release_reward": "Reservation of {subject} ended: {what}",
    "release_purpose": "No longer set aside for {subject}: {what}",
    "release_reward_timed_out": "Reservation of {subject} timed out: {what}",
    "release_purpose_timed_out": "Time is up, no longer set aside for {subject}: {what}",
    "release_reward_sold_out": "{subject} was sold out: {what}",
    "release_purpose_sold_out": "{subject} was sold out: {what}",
    "cancel": "Redemption of {subject} cancelled: {what}",
    "arrive": "{points}",
    "come_back": "{points} come back",
    "came_expired": "{n} of them expired meanwhile",
    "transfer_out": "Sent to {other}: {what}",
    "transfer_until": "to be accepted by {date}",
    "transfer_in": "Received from {other}: {what}",
    "transfer_back": "Sent to {other}: {what}",
    "transfer_back_declined": "Declined by {other}: {what}",
    "transfer_back_timed_out": "Not accepted in time by {other}: {what}",
    "transfer_back_withdrawn": "Transfer to {other} withdrawn: {what}",
    "transfer_back_not_in_pool": "Not a member of {other}: {what}",
    "adjust": "Adjustment ({reason}): {what}",
    "adjust_plain": "Adjustment: {what}",
    "member": "member {id}",
    "pool": "the household pool",
    "reward": "{name}",
    "reward_many": "{count} × {name}",
    "purpose": "“{name}”",
    "redemption": "a reward",
}

CHINESE: Mapping[str, str] = {
    "comma": "，",
    "semicolon": "；",
    "earn_purchase": "购物：{what}",
    "earn_other": "获得：{what}",
    "opens": "{date}起可用",
    "counts": "{date}起计入",
    "awaits": "确认后可用",
    "awaits_until": "确认后可用，最迟{date}起可用",
    "vests": "按 {count} 期解锁，{date}起",
    "vests_plain": "按期解锁",
    "part": "其中 {n} 分{clause}",
    "filled": "其中 {n} 分用于补足负余额",
    "return": "退货：{what}",
    "return_waiting": "其中 {n} 分尚未可用",
    "return_expired": "其中 {n} 分此前已过期",
    "return_debt": "其中 {n} 分已不在账户中，由以后获得的积分补足",
    "return_forgiven": "免扣 {n} 分",
    "nothing": "未扣回积分",
    "activate": "现可使用：{what}",
    "activate_counts": "现已计入：{what}",
    "activate_confirmed": "已确认，现可使用：{what}",
    "expire": "过期：{what}，有效期至{date}",
    "expire_waiting": "尚未可用",
    "vest": "第 {number} 期（共 {count} 期）解锁：{what}",
    "vest_plain": "分期积分解锁：{what}",
    "forfeit": "未满足第 {number} 期（共 {count} 期）的条件，奖励失效：{what}",
    "forfeit_plain": "未满足条件，奖励失效：{what}",
    "hold_reward": "为{subject}预留：{what}",
    "hold_purpose": "为{subject}预留：{what}",
    "capture_reward": "兑换{subject}：{what}",
    "capture_purpose": "支付{subject}：{what}",
    "capture_back": "预留中退回 {n} 分",
    "release_reward": "{subject}的预留已结束：{what}",
    "release_purpose": "{subject}的预留已结束：{what}",
    "release_reward_timed_out": "{subject}的预留已超时：{what}",
    "release_purpose_timed_out": "{subject}的预留已超时：{what}",
    "release_reward_sold_out": "{subject}已售罄：{what}",
    "release_purpose_sold_out": "{subject}已售罄：{what}",
    "cancel": "已取消兑换{subject}：{what}",
    "arrive": "{points}",
    "come_back": "退回 {points}",
    "came_expired": "其中 {n} 分已过期",
    "transfer_out": "转给{other}：{what}",
    "transfer_until": "对方须在{date}前接受",
    "transfer_in": "收到{other}转来：{what}",
    "transfer_back": "给{other}的转赠：{what}",
    "transfer_back_declined": "{other}未接受转赠：{what}",
    "transfer_back_timed_out": "{other}未及时接受转赠：{what}",
    "transfer_back_withdrawn": "已撤回给{other}的转赠：{what}",
    "transfer_back_not_in_pool": "不是{other}的成员：{what}",
    "adjust": "人工调整（{reason}）：{what}",
    "adjust_plain": "人工调整：{what}",
    "member": "会员 {id}",
    "pool": "家庭积分池",
    "reward": "“{name}”",
    "reward_many": "“{name}”× {count}",
    "purpose": "“{name}”",
    "redemption": "奖品",
}

PHRASES: Mapping[Language, Mapping[str, str]] = {"en": ENGLISH, "zh": CHINESE}

KINDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "earn": "Earned",
        "return": "Returns",
        "activate": "Opened",
        "expire": "Expired",
        "vest": "Instalments unlocked",
        "forfeit": "Bonuses lapsed",
        "hold": "Set aside",
        "capture": "Redeemed and paid",
        "release": "No longer set aside",
        "cancel": "Redemptions cancelled",
        "transfer_out": "Sent",
        "transfer_in": "Received",
        "transfer_back": "Sent and come back",
        "adjust": "Adjustments",
    },
    "zh": {
        "earn": "获得",
        "return": "退货扣回",
        "activate": "转为可用",
        "expire": "过期",
        "vest": "分期解锁",
        "forfeit": "奖励失效",
        "hold": "预留",
        "capture": "兑换与支付",
        "release": "取消预留",
        "cancel": "取消兑换",
        "transfer_out": "转出",
        "transfer_in": "转入",
        "transfer_back": "转出退回",
        "adjust": "人工调整",
    },
}
"""What an entry of each kind is called in a table."""

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_UNITS: Mapping[str, tuple[str, str, str]] = {
    "base": ("point", "points", "积分"),
    "tier": ("tier point", "tier points", "等级积分"),
}


def number(points: int, *, signed: bool = False) -> str:
    """An amount, in groups of three in both languages, with a true minus."""
    sign = MINUS if points < 0 else "+" if signed and points else ""
    return f"{sign}{abs(points):,}"


def amount(points: int, wallet: str, language: Language, *, signed: bool = False) -> str:
    """An amount with its unit: 1 point, 1,200 tier points; a wallet without a name has its code."""
    one, many, chinese = _UNITS.get(wallet, _UNITS["base"])
    if language == "zh":
        named = "" if wallet in _UNITS else f"（{wallet}）"
        return f"{number(points, signed=signed)} {chinese}{named}"
    named = "" if wallet in _UNITS else f" ({wallet})"
    return f"{number(points, signed=signed)} {one if abs(points) == 1 else many}{named}"


def wallet_name(wallet: str, language: Language) -> str:
    """What a wallet is called as the head of a column."""
    if wallet not in _UNITS:
        return wallet
    _, many, chinese = _UNITS[wallet]
    return chinese if language == "zh" else many.capitalize()


def written(day: date, language: Language, *, beside: date | None = None) -> str:
    """A day in words; without its year when that is the one of ``beside``."""
    plain = beside is not None and beside.year == day.year
    if language == "zh":
        short = f"{day.month}月{day.day}日"
        return short if plain else f"{day.year}年{short}"
    short = f"{day.day} {MONTHS[day.month - 1]}"
    return short if plain else f"{short} {day.year}"


def written_month(month: date, language: Language) -> str:
    """A month in words."""
    if language == "zh":
        return f"{month.year}年{month.month}月"
    return f"{MONTHS[month.month - 1]} {month.year}"
