"""Edge: what must be true of Kafka before a worker joins its group.

Faust ignores a topic that appears late and silently starts over where a committed offset is gone, so both are checked
first.
"""

from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from penstock.schemas.addresses import kafka_client
from penstock.schemas.errors import OffsetLostError, ServiceUnavailable, TopicLayoutError
from penstock.schemas.settings import Settings
from penstock.schemas.topics import topic


async def check_partitions(settings: Settings, names: Sequence[str]) -> None:
    """Returns if every topic exists with its configured partition count; TopicLayoutError names the first that does
    not, ServiceUnavailable says that Kafka does not answer."""
    admin = AIOKafkaAdminClient(**kafka_client(settings))
    try:
        await admin.start()
        found = {row["topic"]: len(row["partitions"]) for row in await admin.describe_topics(list(names))}
    except (KafkaError, OSError) as error:
        raise ServiceUnavailable(f"Kafka does not answer ({type(error).__name__}): is it running?") from error
    finally:
        await admin.close()
    for name in names:
        wanted = topic(name).partitions or settings.kafka.partitions
        if not found.get(name):
            raise TopicLayoutError(f"topic {name} is missing: run `penstock topics`")
        if found[name] != wanted:
            raise TopicLayoutError(
                f"topic {name} has {found[name]} partitions, kafka.partitions says {wanted}: "
                "correct the settings, or let the topic be recreated"
            )


async def check_offsets(settings: Settings, group: str, names: Sequence[str]) -> None:
    """Returns if Kafka still holds every record that `group` has yet to read; else OffsetLostError says how many
    records of which partition are gone."""
    consumer = AIOKafkaConsumer(group_id=group, enable_auto_commit=False, **kafka_client(settings))
    try:
        await consumer.start()
        places = [
            TopicPartition(name, number)
            for name in names
            for number in range(topic(name).partitions or settings.kafka.partitions)
        ]
        starts = await consumer.beginning_offsets(places)
        committed = {place: await consumer.committed(place) for place in places}
    except (KafkaError, OSError) as error:
        raise ServiceUnavailable(f"Kafka does not answer ({type(error).__name__}): is it running?") from error
    finally:
        await consumer.stop()
    for place, offset in committed.items():
        if offset is not None and offset < starts[place]:
            raise OffsetLostError(
                f"{group} has read {place.topic}/{place.partition} up to offset {offset}, but the log now starts at "
                f"{starts[place]}: {starts[place] - offset} records are lost; "
                "`penstock gap accept` records the loss and lets the worker go on"
            )
