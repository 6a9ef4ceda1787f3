"""The one error of the platform's own code, and the kinds it comes in.

ServiceError
├── kind ``invalid``       the request cannot be understood or is out of bounds      422
├── kind ``malformed``     not even JSON                                             400
├── kind ``unauthenticated``                                                         401
├── kind ``forbidden``     known, but not allowed                                    403
├── kind ``missing``       no such thing                                             404
├── kind ``conflict``      the same key with another input, or a lost race           409
├── kind ``too_large``                                                               413
├── kind ``refused``       a business rule says no; facts say why                    409
├── kind ``too_many``      over a limit; try later                                   429
├── kind ``unavailable``   a store, the bus or an upstream is out; try later         503
├── kind ``timeout``       an upstream did not answer in time                        504
└── kind ``broken``        an invariant does not hold; halts that stream             500
"""

from typing import Literal

Kind = Literal[
    "invalid",
    "malformed",
    "unauthenticated",
    "forbidden",
    "missing",
    "conflict",
    "too_large",
    "refused",
    "too_many",
    "unavailable",
    "timeout",
    "broken",
]


class ServiceError(Exception):
    """A request or message that cannot be served, and the facts that say why.

    ``code`` is stable and machine-readable, ``message`` is for people and says how to mend it,
    ``facts`` are plain values that travel in the problem document.
    """

    def __init__(self, kind: Kind, code: str, message: str, **facts: object) -> None:
        super().__init__(message)
        self.kind = kind
        self.code = code
        self.message = message
        self.facts = facts

    def __str__(self) -> str:
        details = ", ".join(f"{name}={value!r}" for name, value in self.facts.items())
        return f"{self.code}: {self.message}" + (f" ({details})" if details else "")


class Unavailable(ServiceError):
    """A store or the bus cannot be reached; the caller backs off and tries again."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__("unavailable", "unavailable", f"{what} cannot be reached", reason=reason)


class BrokenInvariant(ServiceError):
    """Something that must hold does not: the stream halts, the service goes on."""

    def __init__(self, code: str, message: str, **facts: object) -> None:
        super().__init__("broken", code, message, **facts)
