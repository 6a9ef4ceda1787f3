"""Hunt for a defect in whatever ledger this process imports: ``python -m … EXAMPLES [TEST]``.

Exits with 1 and the last line of the failure when there is one. TEST is ``module:function``.
"""

import importlib
import sys

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.services.points.ledger.machine import LedgerMachine


def with_machine(examples: int) -> None:
    """Run the machine without shrinking: finding is enough."""
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=50,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )


if __name__ == "__main__":
    if len(sys.argv) > 2:
        module, _, function = sys.argv[2].partition(":")
        getattr(importlib.import_module(f"tests.services.points.ledger.{module}"), function)()
    else:
        with_machine(int(sys.argv[1]))
