"""Pure: who is charged for a request. A credential is looked up by its keyed hash and then forgotten.

Identity that headers claim (`x-penstock-…`, `openai-organization`, `openai-project`) is kept as claimed; it is charged
only where the caller is trusted by network or by key.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from penstock.schemas.events import Identity
from penstock.schemas.keys import KeyRecord, key_hash, unknown_key_id

from .headers import Fields

CLAIMS: Final = {
    b"x-penstock-org": "org",
    b"x-penstock-team": "team",
    b"x-penstock-app": "app",
    b"x-penstock-user": "user",
    b"openai-organization": "openai-organization",
    b"openai-project": "openai-project",
}
CLAIM_MAX_CHARS: Final = 128
ANONYMOUS: Final = Identity(key_id="anonymous")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as far as the tap can tell. `refused`: why the key may not be used any more (enforce refuses it)."""

    identity: Identity
    refused: str = ""
    expires_at_us: int | None = None


@dataclass(slots=True)
class Keys:
    """All keys that the deployment knows, by keyed hash: those of the policy, and records of the keys topic.

    A record of the topic wins over one of the policy with the same hash or id.
    """

    policy: Sequence[KeyRecord] = ()
    generation: int = 0
    _records: dict[str, KeyRecord] = field(default_factory=dict)
    _by_hash: dict[str, KeyRecord] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._index()

    def apply(self, key_id: str, record: KeyRecord | None) -> None:
        """A record of the topic, or its tombstone."""
        if record is None:
            self._records.pop(key_id, None)
        else:
            self._records[key_id] = record
        self._index()

    def records(self) -> list[KeyRecord]:
        """Those of the topic."""
        return list(self._records.values())

    def replace(self, policy: Sequence[KeyRecord]) -> None:
        """Another policy is in force; the records of the topic stay."""
        self.policy = policy
        self._index()

    def find(self, hashed: str) -> KeyRecord | None:
        """The record behind a keyed hash."""
        return self._by_hash.get(hashed)

    def _index(self) -> None:
        self.generation += 1
        self._by_hash = {record.hash: record for record in self.policy if record.id not in self._records}
        self._by_hash.update((record.hash, record) for record in self._records.values())


class Trusted:
    """Callers whose identity headers are charged: networks and key ids, as written in `tap.trusted_callers`."""

    def __init__(self, callers: Iterable[str]) -> None:
        self._networks: list[IPv4Network | IPv6Network] = []
        self._keys: set[str] = set()
        for caller in callers:
            try:
                self._networks.append(ip_network(caller, strict=False))
            except ValueError:
                self._keys.add(caller.removeprefix("key:"))

    def __call__(self, address: str, key_id: str) -> bool:
        """Whether the caller at `address`, with an authenticated `key_id` or "", is trusted."""
        if key_id and key_id in self._keys:
            return True
        if not self._networks:
            return False
        try:
            found: IPv4Address | IPv6Address = ip_address(address)
        except ValueError:
            return False
        if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self._networks)


def identify(
    credentials: Sequence[bytes],
    fields: Fields,
    address: str,
    keys: Keys,
    trusted: Trusted,
    pepper: bytes,
    now_us: int,
) -> Caller:
    """Who is charged. `credentials` stand in order of what they tell; the first with a record decides, else the first.

    A revoked or expired key keeps its identity, and is named in `refused`.
    """
    hashes = [key_hash(credential, pepper) for credential in credentials]
    record = next((found for found in map(keys.find, hashes) if found is not None), None)
    claimed = _claims(fields)
    if record is not None:
        named = {
            "key_id": record.id,
            "org": record.org,
            "team": record.team,
            "app": record.app,
            "user": record.user,
            "service_account": record.service_account,
        }
    elif hashes:
        named = {"key_id": unknown_key_id(hashes[0])}
    elif claimed:
        named = {"key_id": ANONYMOUS.key_id}
    else:
        return Caller(ANONYMOUS)
    if claimed and trusted(address, record.id if record else ""):
        named |= {name: value for name, value in claimed.items() if name in ("org", "team", "app", "user")}
    identity = Identity(**named, authenticated=record is not None, claimed=claimed)
    return Caller(identity, _refused(record, now_us), record.expires_at_us if record else None)


def scopes_of(identity: Identity, model: str) -> list[str]:
    """Every scope that a request of `identity` to `model` belongs to."""
    pairs = (
        ("key", identity.key_id),
        ("org", identity.org),
        ("team", identity.team),
        ("app", identity.app),
        ("user", identity.user),
        ("sa", identity.service_account),
        ("model", model),
    )
    return [f"{kind}:{name}" for kind, name in pairs if name]


def _claims(fields: Fields) -> dict[str, str]:
    claimed: dict[str, str] = {}
    if fields.keys().isdisjoint(CLAIMS):
        return claimed
    for name, member in CLAIMS.items():
        value = fields.get(name)
        if value is not None:
            text = value.decode("utf-8", "replace")[:CLAIM_MAX_CHARS]
            claimed[member] = "".join(letter for letter in text if letter.isprintable())
    return claimed


def _refused(record: KeyRecord | None, now_us: int) -> str:
    if record is None:
        return ""
    if record.state == "revoked":
        return "the key is revoked"
    if record.expires_at_us is not None and record.expires_at_us <= now_us:
        return "the key has expired"
    return ""
