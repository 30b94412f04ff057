"""Which partition an exchange belongs to: Kafka's own hash of its id, so that any client can say where it lies.

The hash is MurmurHash2 (Austin Appleby, public domain) with the seed of Kafka's default partitioner; tested to agree
with aiokafka's.
"""

import struct
from typing import Final

from penstock.schemas.ids import new_exchange_id

SEED: Final = 0x9747B28C
MULTIPLIER: Final = 0x5BD1E995
WORD: Final = 0xFFFFFFFF


def partition_of(exchange_id: str, partitions: int) -> int:
    """The partition of `exchange_id` among `partitions`."""
    return (murmur2(exchange_id.encode()) & 0x7FFFFFFF) % partitions


def new_id_in(partition: int, partitions: int) -> str:
    """A fresh exchange id that lies in `partition`; tries as many as there are partitions, on average."""
    while True:
        exchange_id = new_exchange_id()
        if partition_of(exchange_id, partitions) == partition:
            return exchange_id


def murmur2(data: bytes) -> int:
    """MurmurHash2 of `data`, 32 bits, as Kafka's clients compute it."""
    words, rest = divmod(len(data), 4)
    value = SEED ^ len(data)
    for word in struct.unpack_from(f"<{words}I", data):
        mixed = (word * MULTIPLIER) & WORD
        value = (value * MULTIPLIER ^ (mixed ^ (mixed >> 24)) * MULTIPLIER) & WORD
    if rest:
        value = ((value ^ int.from_bytes(data[-rest:], "little")) * MULTIPLIER) & WORD
    value = ((value ^ (value >> 13)) * MULTIPLIER) & WORD
    return value ^ (value >> 15)
