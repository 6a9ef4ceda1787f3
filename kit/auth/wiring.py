"""From settings to a verifier."""

from kit.auth.local_issuer import LocalIssuer
from kit.auth.tokens import TokenVerifier
from kit.settings import AuthSettings


def local_issuer(settings: AuthSettings) -> LocalIssuer | None:
    """The development issuer, when a key file is configured."""
    if settings.dev_issuer_key is None:
        return None
    return LocalIssuer.open(settings.dev_issuer_key, settings.issuer, settings.audience)


def token_verifier(settings: AuthSettings) -> TokenVerifier:
    """A verifier for the configured issuer: its key set's address, else the local key's own set."""
    if settings.jwks_url is not None:
        return TokenVerifier(settings.issuer, settings.audience, settings.jwks_url)
    issuer = local_issuer(settings)
    if issuer is None:
        raise ValueError("neither a key set's address nor a local key is configured")
    return TokenVerifier(settings.issuer, settings.audience, issuer.jwks())
