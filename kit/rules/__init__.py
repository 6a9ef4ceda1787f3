"""Rules that people write, checked when saved and evaluated fast: CEL with a typed vocabulary.

    vocabulary = Vocabulary({"activity.amount": "double", "activity.type": "string"})
    text = 'activity.type == "purchase" && activity.amount >= 100'
    condition = compile_condition(text, vocabulary)
    facts = vocabulary.bind({"activity.type": "purchase", "activity.amount": 120})
    condition.holds(facts)                       # True
    condition.evaluate(facts).failed_part        # None, or the first part that does not hold
    compile_formula("activity.amount * 2", vocabulary).amount(facts)      # Decimal("240.000000")

What may be written is a subset of CEL: fields of the vocabulary, literals, lists, operators,
`? :` and the functions in `syntax.FUNCTIONS`. No macros, no `matches`, no maps, no `null`, and a
limited length, so that the cost of a rule is linear in its text. `10` is read as `10.0` where
a decimal number is meant. Everything wrong is a `RuleError`, worded for the author of the rule.

Threads: vocabularies, conditions and formulas are immutable after construction and may be shared
by any number of threads; the engine holds the interpreter lock, so more threads are not faster.
Bind `Facts` once per activity and keep them on one thread.

Measured on one shared core, 15 fields: bind 5.6 µs; `holds` 1.7 µs for one part, 1.8 µs for three;
`evaluate` 1.7 µs for each part up to the first that fails; a formula 2.2 µs; bind and 50 rules
94 µs. A fresh rule compiles in 160 µs, a known text costs 0.1 µs.
"""

from kit.rules.condition import (
    Condition,
    Formula,
    Outcome,
    compile_condition,
    compile_formula,
)
from kit.rules.errors import RuleError
from kit.rules.vocabulary import Facts, Vocabulary

__all__ = [
    "Condition",
    "Facts",
    "Formula",
    "Outcome",
    "RuleError",
    "Vocabulary",
    "compile_condition",
    "compile_formula",
]
