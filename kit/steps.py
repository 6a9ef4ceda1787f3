"""The steps of a pass over streams: what each command made, and whether that has landed."""

from collections.abc import Sequence

import msgspec

from contracts.envelope import Fact
from kit.errors import ServiceError
from kit.journal.port import Appended


class Step(msgspec.Struct, frozen=True):
    """One command of a pass: its facts, each with its place among the drafts.

    ``places`` are as many as ``facts``; None is for a fact that was known before.
    """

    place: int
    facts: tuple[Fact, ...] = ()
    places: tuple[int | None, ...] = ()
    error: ServiceError | None = None

    @property
    def repeated(self) -> bool:
        """Whether some of it had been done before."""
        return None in self.places


def first_missed(step: Step, outcomes: Sequence[Appended]) -> Appended | None:
    """Return the outcome of the step's first draft that did not land."""
    landed = (outcomes[place] for place in step.places if place is not None)
    return next((outcome for outcome in landed if outcome.outcome != "appended"), None)


def is_own(step: Step, outcomes: Sequence[Appended], key: str) -> bool:
    """Whether the fact that is in the way bears the command's own key: its key was misused.

    Another fact of a command may be made by others, too (what time brings): that is a lost race.
    """
    for fact, place in zip(step.facts, step.places, strict=True):
        if place is not None and outcomes[place].outcome != "appended":
            return fact.key == key
    return False
