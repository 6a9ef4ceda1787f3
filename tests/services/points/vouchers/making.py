"""Series, vouchers and calls that tests begin with."""

from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx

from contracts.vouchers import SeriesTerms, Worth
from kit.auth import LocalIssuer
from services.points.domain.vouchers import Basket
from services.points.vouchers import commands, queries
from services.points.vouchers.commands import Caller
from services.points.vouchers.issuing import Issued, issue
from services.points.vouchers.wiring import Vouchers

TEN_OFF = SeriesTerms("Ten off", Worth("value", 1000), "USD", "generated", most_vouchers=1000)
IMPORTED = SeriesTerms("Printed", Worth("value", 1000), "USD", "imported")
TILL = Caller("till-1", "north")
BASKET = Basket(4599, "USD")
_keys = count(1)


async def define(vouchers: Vouchers, terms: SeriesTerms = TEN_OFF, series_id: str = "s") -> None:
    """A series ``s``."""
    await commands.define_series(vouchers, series_id, terms, "mia")


async def given(vouchers: Vouchers, member_id: str = "M1", series_id: str = "s") -> Issued:
    """A voucher of series ``s``, with a key of its own."""
    return await issue(vouchers, series_id, member_id, f"k{next(_keys)}")


async def code_of(vouchers: Vouchers, issued: Issued) -> str:
    """The code as its owner sees it."""
    codes = await queries.codes_of(vouchers, {issued.voucher_id: issued.voucher})
    return codes[issued.voucher_id]


async def given_code(vouchers: Vouchers) -> str:
    """The code of a voucher of series ``s``."""
    return await code_of(vouchers, await given(vouchers))


async def facts_of(vouchers: Vouchers, voucher_id: str) -> list[str]:
    """The types of the facts of a voucher."""
    stream = vouchers.vouchers.stream(voucher_id)
    return [fact.type for fact in await vouchers.journal.read(stream)]


@dataclass
class Api:
    """The API of vouchers, called in any role."""

    client: httpx.AsyncClient
    issuer: LocalIssuer
    vouchers: Vouchers

    async def call(
        self, role: str, method: str, path: str, body: Any = None, key: str | None = None
    ) -> httpx.Response:
        """Call as ``agent``, ``marketer``…, ``member:M1`` or ``partner:north``."""
        name, _, who = role.partition(":")
        token = self.issuer.token(
            name,
            who if name == "member" else None,
            partner=who if name == "partner" and who else None,
        )
        headers = {"authorization": f"Bearer {token}"}
        if key is not None:
            headers["idempotency-key"] = key
        return await self.client.request(method, path, json=body, headers=headers)
