import uuid

from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from penstock.gateway_tap.partition import murmur2, new_id_in, partition_of


@given(st.binary(max_size=64))
def test_the_hash_is_kafkas(data: bytes) -> None:
    assert murmur2(data) == reference(data)


def test_an_exchange_lies_where_kafkas_default_partitioner_would_put_it() -> None:
    for _ in range(200):
        exchange_id = str(uuid.uuid4())
        assert partition_of(exchange_id, 4) == (reference(exchange_id.encode()) & 0x7FFFFFFF) % 4


@given(st.integers(1, 64), st.data())
def test_an_id_can_be_made_for_a_partition(partitions: int, data: st.DataObject) -> None:
    wanted = data.draw(st.integers(0, partitions - 1))
    exchange_id = new_id_in(wanted, partitions)
    assert partition_of(exchange_id, partitions) == wanted
    assert uuid.UUID(exchange_id).version == 7
