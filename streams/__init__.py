"""The Faust workers: they read topics and write rows, orders and attributions.

Words: *batch* (the records taken at once), *place* (topic, partition, offset, index), *mark* (the last row that the
store holds of a partition), *dead letter* (an event that cannot be read, kept apart).

Kafka records enter; ClickHouse rows and Kafka records leave. Never: a record acknowledged before its rows are stored,
an event counted twice, a body in a log.
"""
