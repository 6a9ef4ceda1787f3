"""Who is calling: tokens, the principal they stand for, and what endpoints may demand of it."""

from kit.auth.dependencies import owner_or, partner_of, require
from kit.auth.local_issuer import LocalIssuer
from kit.auth.principal import ROLES, Principal
from kit.auth.tokens import TokenVerifier
from kit.auth.wiring import token_verifier

__all__ = [
    "ROLES",
    "LocalIssuer",
    "Principal",
    "TokenVerifier",
    "owner_or",
    "partner_of",
    "require",
    "token_verifier",
]
