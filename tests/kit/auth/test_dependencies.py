"""What endpoints demand of the caller."""

import pytest

from kit.auth import Principal, partner_of
from kit.errors import ServiceError


def test_a_caller_works_for_the_partner_that_the_token_names() -> None:
    assert partner_of(Principal("p", frozenset(["partner"]), partner="north")) == "north"
    assert partner_of(Principal("p", frozenset(["partner", "agent"]), partner="north")) == "north"


@pytest.mark.parametrize("role", ["member", "agent", "marketer", "operator"])
def test_without_the_role_the_claim_means_nothing(role: str) -> None:
    assert partner_of(Principal("x", frozenset([role]), "M1", partner="north")) is None


def test_a_partner_without_the_claim_is_refused() -> None:
    with pytest.raises(ServiceError, match="needs the claim `partner`") as refused:
        partner_of(Principal("p", frozenset(["partner"])))
    assert (refused.value.kind, refused.value.code) == ("forbidden", "partner_missing")
