"""The one error of rules."""

from kit.errors import ServiceError


class RuleError(ServiceError):
    """A rule that cannot be used or, on given facts, cannot be decided.

    `code` is stable: too_long, too_deep, syntax, unknown_field, unknown_function, wrong_type,
    not_a_condition, not_a_number when compiled; no_value, wrong_value, division_by_zero,
    out_of_range, not_evaluated when evaluated; not_in_vocabulary when bound. `text` is the rule
    as written, `position` the 0-based offset of the mistake in it, where there is one.
    """

    def __init__(self, code: str, message: str, text: str, position: int | None = None) -> None:
        super().__init__("invalid", code, message, text=text, position=position)
        self.text = text
        self.position = position
