import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from kit.auth import LocalIssuer, Principal, TokenVerifier
from kit.auth.keys import StaticKeys
from kit.errors import ServiceError

ISSUER = "https://login.example"


@pytest.fixture
def verifier(issuer: LocalIssuer, clock: Any) -> TokenVerifier:
    return TokenVerifier(ISSUER, "mooring", issuer.jwks(), clock=clock)


def claims(clock: Any, **changes: Any) -> dict[str, Any]:
    usual = {
        "iss": ISSUER,
        "aud": "mooring",
        "sub": "u1",
        "exp": int(clock.now) + 60,
        "roles": ["member"],
        "member_id": "M1",
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}


def signed(key: ECKey, content: dict[str, Any]) -> str:
    return jwt.encode({"alg": "ES256", "kid": key.kid}, content, key)


async def refusal(verifier: TokenVerifier, token: str) -> str:
    with pytest.raises(ServiceError) as caught:
        await verifier.verify(token)
    assert caught.value.kind == "unauthenticated"
    assert verifier.recall(token) is None
    return caught.value.code


async def test_a_good_token_names_its_principal(verifier: TokenVerifier, issuer: LocalIssuer):
    principal = await verifier.verify(issuer.token("member", "M1"))
    assert principal == Principal("member:M1", frozenset({"member"}), "M1", None)


async def test_a_partner_token_carries_the_partner(verifier: TokenVerifier, issuer: LocalIssuer):
    principal = await verifier.verify(issuer.token("partner", partner="till-7"))
    assert (principal.roles, principal.partner) == (frozenset({"partner"}), "till-7")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"iss": "https://evil.example"}, "token_issuer"),
        ({"iss": None}, "token_issuer"),
        ({"aud": "another"}, "token_audience"),
        ({"aud": ["another", "third"]}, "token_audience"),
        ({"aud": None}, "token_audience"),
        ({"exp": None}, "token_expiry"),
        ({"exp": "tomorrow"}, "token_expiry"),
        ({"exp": 1_799_999_900}, "token_expired"),
        ({"nbf": 1_800_000_100}, "token_not_yet_valid"),
        ({"sub": None}, "token_claims"),
        ({"roles": {"member": True}}, "token_claims"),
        ({"member_id": 7}, "token_claims"),
        ({"member_id": "x" * 200}, "token_claims"),
    ],
)
async def test_a_claim_that_does_not_hold_is_refused(
    verifier: TokenVerifier, key: ECKey, clock: Any, change: dict[str, Any], code: str
):
    assert await refusal(verifier, signed(key, claims(clock, **change))) == code


async def test_clocks_may_differ_by_the_leeway(verifier: TokenVerifier, key: ECKey, clock: Any):
    token = signed(key, claims(clock, exp=int(clock.now) - 20, nbf=int(clock.now) + 20))
    assert (await verifier.verify(token)).member_id == "M1"


async def test_several_audiences_and_roles_as_words_are_understood(
    verifier: TokenVerifier, key: ECKey, clock: Any
):
    token = signed(key, claims(clock, aud=["app", "mooring"], roles="member janitor agent"))
    assert (await verifier.verify(token)).roles == {"member", "agent"}


@pytest.mark.parametrize(
    ("change", "stepped_up"),
    [
        ({}, False),
        ({"acr": "step_up"}, True),
        ({"acr": "password"}, False),
        ({"amr": ["pwd", "mfa"]}, True),
        ({"amr": ["pwd"]}, False),
        ({"amr": "mfa"}, False),
        ({"acr": ["step_up"], "amr": {"mfa": True}}, False),
    ],
)
async def test_a_second_factor_is_read_from_acr_or_amr(
    verifier: TokenVerifier, key: ECKey, clock: Any, change: dict[str, Any], stepped_up: bool
):
    principal = await verifier.verify(signed(key, claims(clock, **change)))
    assert principal.stepped_up is stepped_up


async def test_the_local_issuer_can_say_that_a_second_factor_was_used(
    verifier: TokenVerifier, issuer: LocalIssuer
):
    assert (await verifier.verify(issuer.token("member", "M1", step_up=True))).stepped_up
    assert not (await verifier.verify(issuer.token("member", "M1"))).stepped_up


async def test_the_algorithm_none_is_refused(verifier: TokenVerifier, clock: Any, key: ECKey):
    def part(content: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    for name in ("none", "None", "NONE"):
        token = f"{part({'alg': name, 'kid': key.kid})}.{part(claims(clock))}."
        assert await refusal(verifier, token) == "token_algorithm"


async def test_a_public_key_is_not_accepted_as_an_hmac_secret(clock: Any):
    private = RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True)
    verifier = TokenVerifier(
        ISSUER, "mooring", {"keys": [private.as_dict(private=False)]}, clock=clock
    )
    header = {"alg": "HS256", "kid": private.kid}
    signing_input = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in (header, claims(clock))
    )
    mac = hmac.digest(private.as_pem(private=False), signing_input.encode(), hashlib.sha256)
    token = f"{signing_input}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    assert await refusal(verifier, token) == "token_algorithm"


async def test_the_header_cannot_pick_another_algorithm_than_the_keys_own(
    verifier: TokenVerifier, key: ECKey, issuer: LocalIssuer
):
    _, payload, signature = issuer.token("member", "M1").split(".")
    header = base64.urlsafe_b64encode(json.dumps({"alg": "RS256", "kid": key.kid}).encode())
    token = f"{header.rstrip(b'=').decode()}.{payload}.{signature}"
    assert await refusal(verifier, token) == "token_signature"


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True), "RS256"),
        (ECKey.generate_key("P-256", {"use": "sig"}, auto_kid=True), "ES256"),
        (OKPKey.generate_key("Ed25519", {"use": "sig"}, auto_kid=True), "Ed25519"),
    ],
)
async def test_each_allowed_algorithm_works(key: Any, algorithm: str, clock: Any):
    verifier = TokenVerifier(ISSUER, "mooring", {"keys": [key.as_dict(private=False)]}, clock=clock)
    token = jwt.encode(
        {"alg": algorithm, "kid": key.kid}, claims(clock), key, algorithms=[algorithm]
    )
    assert (await verifier.verify(token)).subject == "u1"


async def test_the_older_name_eddsa_works_and_warns_nobody(clock: Any):
    key = OKPKey.generate_key("Ed25519", {"use": "sig"}, auto_kid=True)
    verifier = TokenVerifier(ISSUER, "mooring", {"keys": [key.as_dict(private=False)]}, clock=clock)
    with pytest.warns(Warning, match="EdDSA"):
        token = jwt.encode(
            {"alg": "EdDSA", "kid": key.kid}, claims(clock), key, algorithms=["EdDSA"]
        )
    assert (await verifier.verify(token)).subject == "u1"


def weak_rsa() -> dict[str, Any]:
    with pytest.warns(SecurityWarning):
        return dict(RSAKey.generate_key(1024, {"use": "sig"}, auto_kid=True).as_dict(private=False))


async def test_secret_weak_and_encryption_keys_are_passed_over():
    keys = [
        OctKey.generate_key(256, auto_kid=True).as_dict(private=True),
        weak_rsa(),
        ECKey.generate_key("P-256", {"use": "enc"}, auto_kid=True).as_dict(private=False),
        ECKey.generate_key("P-384", {"use": "sig"}, auto_kid=True).as_dict(private=False),
        {"kty": "PQ", "kid": "later"},
        "nonsense",
    ]
    with pytest.warns(SecurityWarning):
        source = StaticKeys({"keys": keys})
    for entry in keys[:4]:
        assert isinstance(entry, dict)
        assert await source.find(entry["kid"]) is None


@pytest.mark.parametrize(
    "token",
    ["", "x", "a.b", "a.b.c", "....", "eyJhbGciOiJFUzI1NiJ9", "é.é.é", "W10.e30.x", "bnVsbA.e30.x"],
)
async def test_what_is_no_jwt_is_refused(verifier: TokenVerifier, token: str):
    assert await refusal(verifier, token) in ("token_malformed", "token_algorithm")


async def test_a_token_of_absurd_length_is_refused(verifier: TokenVerifier):
    assert await refusal(verifier, "a" * 10_000) == "token_malformed"


async def test_another_issuers_key_is_refused(verifier: TokenVerifier, clock: Any):
    stranger = ECKey.generate_key("P-256", {"use": "sig"}, auto_kid=True)
    assert await refusal(verifier, signed(stranger, claims(clock))) == "token_key"


async def test_a_stranger_using_our_key_id_is_refused(
    verifier: TokenVerifier, clock: Any, key: ECKey
):
    stranger = ECKey.generate_key("P-256", {"use": "sig", "kid": key.kid})
    assert await refusal(verifier, signed(stranger, claims(clock))) == "token_signature"


async def test_a_changed_token_is_refused(verifier: TokenVerifier, issuer: LocalIssuer):
    token = issuer.token("member", "M1")
    await verifier.verify(token)
    header, _, signature = token.split(".")
    other = issuer.token("member", "M2").split(".")[1]
    assert await refusal(verifier, f"{header}.{other}.{signature}") == "token_signature"


async def test_a_remembered_token_still_expires(
    verifier: TokenVerifier, issuer: LocalIssuer, clock: Any
):
    token = issuer.token("member", "M1", ttl_seconds=60)
    await verifier.verify(token)
    clock.now += 89
    assert verifier.recall(token) is not None
    clock.now += 1
    assert await refusal(verifier, token) == "token_expired"


async def test_a_token_is_checked_anew_after_five_minutes(
    verifier: TokenVerifier, issuer: LocalIssuer, clock: Any
):
    token = issuer.token("member", "M1", ttl_seconds=3600)
    await verifier.verify(token)
    clock.now += 300
    assert verifier.recall(token) is None
    assert (await verifier.verify(token)).member_id == "M1"


async def test_the_memory_of_tokens_is_bounded(issuer: LocalIssuer, clock: Any):
    verifier = TokenVerifier(ISSUER, "mooring", issuer.jwks(), clock=clock, remember=2)
    tokens = [issuer.token("member", f"M{n}") for n in range(3)]
    for token in tokens:
        await verifier.verify(token)
    assert [verifier.recall(token) is not None for token in tokens] == [False, True, True]
