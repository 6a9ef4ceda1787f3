"""How long to wait for something that is out."""

import random
from dataclasses import dataclass


@dataclass
class Backoff:
    """Doubles from ``first_seconds`` to ``limit_seconds``; jitter keeps workers from marching in
    step when what they wait for comes back."""

    first_seconds: float = 0.05
    limit_seconds: float = 5.0
    failures: int = 0

    def next(self) -> float:
        """Return the next delay, in seconds."""
        whole = min(self.limit_seconds, self.first_seconds * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return whole * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It works again."""
        self.failures = 0
