"""2,000 histories of 50 steps each, against the model. ``MOORING_LEDGER_RANDOM=1``: new ones."""

import os

from hypothesis import HealthCheck, settings

from tests.services.points.ledger.machine import LedgerMachine

TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=int(os.environ.get("MOORING_LEDGER_EXAMPLES", "2000")),
    stateful_step_count=50,
    deadline=None,
    derandomize="MOORING_LEDGER_RANDOM" not in os.environ,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
