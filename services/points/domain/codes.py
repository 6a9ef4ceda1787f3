"""Voucher codes: their alphabet, their check characters, and how people may write them.

A generated code has 20 characters of Crockford's base 32 (no I, L, O, U), written in groups of
four: 18 carry 90 bits that nobody can guess, two are checks. The 20 characters, as the coefficients
of a polynomial over GF(32), are a multiple of (x - 1)(x - a), a Reed-Solomon code: any two such
codes differ in at least three places. So one wrong character is always noticed, and two, and any
two that changed places, next to each other or not; of everything else one in 1,024 passes.

An imported code is whatever a partner printed: 8 to 40 letters and digits. Case, blanks and dashes
do not matter, O is 0, and I and L are 1, for it as well: people cannot tell them apart either.
"""

from services.points.domain.voucher_errors import CodeFormat, CodeMistyped

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RANDOM_BITS = 90
CHECKS = 2
LENGTH = RANDOM_BITS // 5 + CHECKS
GROUP = 4
SHORTEST, LONGEST = 8, 40
MOST_WRITTEN = 64
_VALUES = {sign: value for value, sign in enumerate(ALPHABET)}
_CONFUSED = str.maketrans({"O": "0", "I": "1", "L": "1", "-": "", " ": "", "\u2013": ""})
_LETTERS = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def code_of(number: int) -> str:
    """The code of a number of 90 random bits, without dashes."""
    values = [number >> (RANDOM_BITS - 5 * place) & 31 for place in range(1, LENGTH - CHECKS + 1)]
    return "".join(ALPHABET[value] for value in (*values, *_checks(values)))


def grouped(code: str) -> str:
    """A generated code in groups of four, for people; another one as it is."""
    if not _is_generated(code):
        return code
    return "-".join(code[start : start + GROUP] for start in range(0, LENGTH, GROUP))


def parse(written: str) -> str:
    """The code that somebody typed, in its one form. Raises CodeMistyped and CodeFormat."""
    code = normalised(written)
    if len(code) == LENGTH and all(sign in _VALUES for sign in code) and not _is_generated(code):
        raise CodeMistyped
    if len(written) > MOST_WRITTEN or not SHORTEST <= len(code) <= LONGEST:
        raise CodeFormat
    if not _LETTERS.issuperset(code):
        raise CodeFormat
    return code


def normalised(written: str) -> str:
    """Upper case, without blanks and dashes, and with digits for the letters that look like one."""
    return written[: MOST_WRITTEN + 1].upper().translate(_CONFUSED)


def _is_generated(code: str) -> bool:
    if len(code) != LENGTH or not all(sign in _VALUES for sign in code):
        return False
    values = [_VALUES[sign] for sign in code]
    return _checks(values[:-CHECKS]) == (values[-2], values[-1])


def _checks(values: list[int]) -> tuple[int, int]:
    """The remainder of values(x) * x^2 divided by x^2 + 3x + 2, which is (x - 1)(x - 2)."""
    high = low = 0
    for value in values:
        carry = high ^ value
        high, low = low ^ carry ^ _doubled(carry), _doubled(carry)
    return high, low


def _doubled(value: int) -> int:
    """Multiply by a = 2 in GF(32), whose polynomial is x^5 + x^2 + 1."""
    value <<= 1
    return value ^ 0b100101 if value & 32 else value
