"""The programme's `points` section, compiled once: rules of lots, vesting, limits."""

from dataclasses import dataclass
from fractions import Fraction
from zoneinfo import ZoneInfo

from kit.clock import DAY, SECOND
from programmes import ledger
from programmes.model import Programme
from programmes.vocabularies import PERIOD
from services.points.domain.account import Vesting
from services.points.domain.entries import Policy
from services.points.domain.holding import Velocity
from services.points.domain.terms import Activation, Expiry, LotRule, LotRules, VestingRule

HOUR = 3_600 * SECOND


@dataclass(frozen=True)
class Rules:
    """What the service needs of the programme. Times are in microseconds, money in minor units.

    ``watches``: whether decisions say what the activity was, because a lot's life depends on it.
    """

    club: str
    policy: Policy
    zone: ZoneInfo
    wallets: dict[str, bool]
    watches: bool
    hold: int
    accept_within: int
    transfers: ledger.Transfers
    adjustments: ledger.Adjustments
    per_member: tuple[Velocity, ...]
    per_device: tuple[Velocity, ...]
    per_payee: tuple[Velocity, ...]
    cooling: int
    step_up_above: int | None
    cost_per_point: Fraction
    alert_above: int | None


def rules_of(programme: Programme) -> Rules:
    """The rules of a programme."""
    points = programme.points
    zone = ZoneInfo(programme.time_zone)
    lots = _lots(zone, points.lots)
    unit = 10**programme.currency_exponent
    conditions = {each.vesting.name: each.vesting.condition for each in points.lots if each.vesting}

    def vests(rule: str, vesting: Vesting) -> bool:
        if rule not in conditions:
            return True  # the programme dropped the rule: what was promised is kept
        period = {
            "period.purchases": vesting.purchases,
            "period.spend": vesting.spend / unit,
            "period.activities": vesting.activities,
        }
        return conditions[rule].holds(PERIOD.bind(period))

    fraud = points.fraud
    return Rules(
        club=programme.name,
        policy=Policy(lots, points.returns, vests),
        zone=zone,
        wallets={wallet.code: wallet.spendable for wallet in programme.wallets},
        watches=points.watches,
        hold=points.hold_minutes * 60 * SECOND,
        accept_within=points.transfers.accept_within_days * DAY,
        transfers=points.transfers,
        adjustments=points.adjustments,
        per_member=_velocity(fraud.per_member),
        per_device=_velocity(fraud.per_device),
        per_payee=_velocity(fraud.per_payee),
        cooling=fraud.cooling_hours * HOUR,
        step_up_above=fraud.step_up_above,
        cost_per_point=Fraction(points.cost_per_point) * unit,
        alert_above=points.alert_when_issued_in_a_day,
    )


def _lots(zone: ZoneInfo, all_lots: tuple[ledger.Lots, ...]) -> LotRules:
    wallets: dict[str, LotRule] = {}
    overrides: dict[tuple[str, str | None, str | None], LotRule] = {}
    for each in all_lots:
        rule = _rule(each)
        if each.campaign is None and each.tier is None:
            wallets[each.wallet] = rule
        else:
            overrides[each.wallet, each.campaign, each.tier] = rule
    sliding = {
        rule.expiry.name: rule.expiry
        for rule in (*wallets.values(), *overrides.values())
        if rule.expiry.kind == "sliding"
    }
    return LotRules(zone, wallets, overrides, tuple(sliding.values()))


def _rule(lots: ledger.Lots) -> LotRule:
    expiry, vesting = lots.expiry, lots.vesting
    return LotRule(
        Activation(lots.activation.after_days, lots.activation.on),
        Expiry(
            expiry.kind,
            expiry.months,
            expiry.days,
            expiry.rounded_to,
            tuple((int(day[:2]), int(day[3:])) for day in expiry.dates),
            frozenset(expiry.activities),
            expiry.name,
        ),
        VestingRule(vesting.name, vesting.instalments, vesting.months, vesting.days)
        if vesting
        else None,
    )


def _velocity(limits: tuple[ledger.Velocity, ...]) -> tuple[Velocity, ...]:
    return tuple(Velocity(each.hours * HOUR, each.points, each.times) for each in limits)
