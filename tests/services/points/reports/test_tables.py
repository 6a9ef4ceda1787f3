"""Reports as CSV, to the byte."""

import csv
import io

from services.points.domain.movement import NetIssuance
from services.points.reports.documents import Alert, AlertsReport, make
from services.points.reports.tables import alerts_csv, liability_csv, movement_csv
from tests.services.points.reports.conftest import NOW, small_ledger
from tests.services.points.reports.programme import TERMS

MOVEMENT = (
    "month,wallet,opening,issued,returned,redeemed,cancelled,expired,forfeited,unexpired,"
    "adjusted,compensated,transferred,closing,difference,closed\r\n"
    "2026-01,base,0,100,0,0,0,0,0,0,0,0,0,100,0,true\r\n"
    "2026-02,base,100,40,20,0,0,0,0,0,0,0,0,120,0,true\r\n"
    "2026-03,base,120,120,0,0,0,0,0,0,0,0,0,240,0,false\r\n"
)
LIABILITY = (
    "line,wallet,rule,month,active,pending,held,in_transit,outstanding,gross,breakage,"
    "breakage_low,breakage_high,net,net_low,net_high,negative,difference,rate,rate_low,rate_high\r\n"
    "row,base,dated,2026-03,100,0,0,0,100,50,,,,50,50,50,,,,,\r\n"
    "row,base,dated,2026-04,20,0,0,0,20,10,,,,10,10,10,,,,,\r\n"
    "row,base,dated,2026-05,120,0,0,0,120,60,,,,60,60,60,,,,,\r\n"
    "wallet,base,,,,,,,240,120,,,,120,120,120,0,0,,,\r\n"
)
ALERTS = (
    "kind,when,wallet,by_value,by_booking,limit,noticed_at\r\n"
    "issuance,2026-03-10,base,200,180,150,2026-03-10T16:00:00Z\r\n"
    'difference,2026-02,"odd,""wallet",0,-3,,2026-03-10T16:00:00Z\r\n'
)


def test_movement_as_csv() -> None:
    made = make(small_ledger().walked(NOW), TERMS)
    assert movement_csv(made.movement["booking"]) == MOVEMENT


def test_liability_as_csv() -> None:
    assert liability_csv(make(small_ledger().walked(NOW), TERMS).liability) == LIABILITY


def test_alerts_as_csv_and_a_name_with_comma_and_quote_survives() -> None:
    alerts = [
        Alert("issuance", "2026-03-10", "base", 200, 180, 150, NOW),
        Alert("difference", "2026-02", 'odd,"wallet', 0, -3, None, NOW),
    ]
    days: list[NetIssuance] = []
    text = alerts_csv(AlertsReport(NOW, "America/New_York", 150, alerts, 0, days))
    assert text == ALERTS
    assert list(csv.reader(io.StringIO(text, newline="")))[2][2] == 'odd,"wallet'
