"""What the embedded broker is told: one KRaft node, broker and controller at once, on loopback."""

from pathlib import Path
from typing import Final

from penstock.schemas.topics import MAX_MESSAGE_BYTES

from .ports import join_address

JVM: Final = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",  # one node, two cores: starts sooner and needs 60 MB less than G1
    "-XX:TieredStopAtLevel=4",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
)


def server_properties(host: str, port: int, controller_port: int, data: Path) -> str:
    """The text of server.properties (Kafka 4.1, "Broker Configs" and "KRaft")."""
    broker, controller = join_address(host, port), join_address(host, controller_port)
    values: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{broker}",
        "log.dirs": data,
        # `penstock topics` makes every topic; a misspelt name must fail.
        "auto.create.topics.enable": "false",
        "message.max.bytes": MAX_MESSAGE_BYTES,
        "replica.fetch.max.bytes": MAX_MESSAGE_BYTES,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        # Committed offsets outlive a laptop that was shut for a month; the topics keep at most 30 days.
        "offsets.retention.minutes": 60 * 24 * 60,
        "num.network.threads": 2,
        "num.io.threads": 4,
        # After kill -9 the restarted broker is let in once its predecessor's session has ended.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        "log.cleaner.dedupe.buffer.size": 32 * 1024 * 1024,
    }
    return "".join(f"{key}={value}\n" for key, value in values.items())
