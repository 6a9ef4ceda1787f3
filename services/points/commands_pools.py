"""Use cases of household pools. A pool is an account whose owner is ``@{pool_id}``.

Who may do what follows from the pool's own account: the domain decides on roles, here is decided
who may look, and that nobody puts points into a pool they are not in.
"""

from dataclasses import dataclass

from kit.errors import ServiceError
from services.points import queries
from services.points.asking import Asked, wallet_of
from services.points.commands import Outcome, body_of, carry_out, digest
from services.points.commands_holds import moved_by
from services.points.commands_remarks import Told
from services.points.commands_transfers import send_noted
from services.points.domain.account import Account, PoolMember, Role
from services.points.domain.errors import NotKnown
from services.points.domain.moving import PoolChange, Send
from services.points.safeguards import move_out, require_step_up
from services.points.schemas_pools import ContributionBody, SpendingBody
from services.points.wiring import Wiring


@dataclass(frozen=True, slots=True)
class Left:
    """Somebody left a pool, and what they took home, by wallet."""

    outcome: Outcome
    taken_home: dict[str, int]


def pool_owner(pool_id: str) -> str:
    """The owner of a pool's account."""
    return f"@{pool_id}"


async def pool(wiring: Wiring, pool_id: str) -> Account:
    """A pool's account, with time passed. Raises NotKnown."""
    owner, now = pool_owner(pool_id), wiring.clock()
    _, state = await queries.account(wiring.ledger, wiring.rules, owner, now)
    if not state.pool:
        raise NotKnown("pool", pool_id)
    return state


async def pool_as_seen(wiring: Wiring, pool_id: str, member_id: str | None) -> Account:
    """A pool, for one of its members, or for staff (None).

    Raises ServiceError ``forbidden`` for everybody else, whether there is such a pool or not.
    """
    if member_id is None:
        return await pool(wiring, pool_id)
    try:
        state = await pool(wiring, pool_id)
    except NotKnown:
        raise _not_in_pool(pool_id) from None
    if member_id not in state.pool:
        raise _not_in_pool(pool_id)
    return state


def _not_in_pool(pool_id: str) -> ServiceError:
    message = "You are not in such a pool; its owner may invite you"
    return ServiceError("forbidden", "not_in_pool", message, pool_id=pool_id)


async def found(wiring: Wiring, asked: Asked) -> Outcome:
    """Open a pool; who asks is its owner."""
    return await _change(wiring, asked, "found", asked.by)


async def invite(wiring: Wiring, asked: Asked, member_id: str, role: Role) -> Outcome:
    """Invite somebody, or change the role of somebody who has not joined yet."""
    return await _change(wiring, asked, "invite", member_id, role)


async def join(wiring: Wiring, asked: Asked) -> Outcome:
    """Follow an invitation."""
    return await _change(wiring, asked, "join", asked.by)


async def leave(wiring: Wiring, asked: Asked, member_id: str) -> Left:
    """Leave with a fair share, or have somebody leave, which the pool's owner may."""
    if not await _asked_before(wiring, asked):
        await pool_as_seen(wiring, asked.owner.removeprefix("@"), asked.by)
    outcome = await _change(wiring, asked, "leave", member_id)
    keys = {f"{asked.key}.{wallet}": wallet for wallet in wiring.rules.wallets}
    shares = await wiring.entries.find(wiring.ledger.stream(asked.owner), list(keys))
    taken = {keys[key]: -moved_by(body_of(fact), "member") for key, fact in shares.items()}
    return Left(outcome, taken)


async def _change(
    wiring: Wiring, asked: Asked, what: str, member_id: str, role: Role = "contributor"
) -> Outcome:
    command = PoolChange(asked.owner, asked.key, what, member_id, asked.by, asked.at, role)
    content = digest("pool", what, member_id, role)
    return await carry_out(wiring.ledger, wiring.rules.policy, command, asked.key, content)


async def contribute(
    wiring: Wiring, pool_id: str, asked: Asked, wanted: ContributionBody
) -> Outcome:
    """Put points of one's own into a pool one is in."""
    rules = wiring.rules
    if not await _asked_before(wiring, asked):
        require_joined(await pool_as_seen(wiring, pool_id, asked.by), pool_id, asked.by)
    wallet = wallet_of(rules, wanted.wallet)
    require_step_up(rules, asked, wanted.points)
    command = Send(
        asked.owner,
        asked.key,
        asked.id,
        pool_owner(pool_id),
        wallet,
        wanted.points,
        asked.at,
        0,
        asked.by,
        at_once=True,
        velocity=rules.per_member,
        cooling=rules.cooling,
    )
    content = digest("contribution", pool_id, wallet, wanted.points)
    policy, points, payee = rules.policy, wanted.points, pool_owner(pool_id)
    return await move_out(
        wiring.ledger, wiring.meters, policy, asked, command, content, points, payee
    )


async def spend(wiring: Wiring, pool_id: str, asked: Asked, wanted: SpendingBody) -> Told:
    """Move points of a pool to one of its members."""
    rules = wiring.rules
    if not await _asked_before(wiring, asked):
        state = await pool_as_seen(wiring, pool_id, asked.by)
        require_joined(state, pool_id, wanted.to, "to")
    wallet = wallet_of(rules, wanted.wallet)
    require_step_up(rules, asked, wanted.points)
    command = Send(
        asked.owner,
        asked.key,
        asked.id,
        wanted.to,
        wallet,
        wanted.points,
        asked.at,
        0,
        asked.by,
        at_once=True,
        velocity=rules.per_member,
    )
    content = ("spending", wanted.to, wallet, wanted.points)
    return await send_noted(wiring, asked, command, asked.by, wanted.note, content)


def require_joined(
    state: Account, pool_id: str, member_id: str, field: str = "member_id"
) -> PoolMember:
    """Somebody who has joined the pool. Raises ServiceError ``refused``."""
    member = state.pool.get(member_id)
    if member is None or not member.joined:
        message = f"{member_id} has not joined this pool"
        raise ServiceError("refused", "not_joined", message, pool_id=pool_id, field=field)
    return member


async def _asked_before(wiring: Wiring, asked: Asked) -> bool:
    """A retry gets its first answer even when the asker has left the pool since."""
    stream = wiring.ledger.stream(asked.owner)
    return bool(await wiring.entries.find(stream, [asked.key]))
