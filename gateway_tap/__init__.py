"""Where a call enters: client bytes in; the same bytes out to a model endpoint and back, and their events to Kafka.

Words: *exchange* (one request and all that came back), *relay* (joins one client connection and one upstream
connection for an exchange), *tape* (turns an exchange's bytes into events), *lane* (one partition's frames on
their way to Kafka), *order* (a standing kill, block or revoke), *route* (which upstream a path belongs to).

Never here: a changed body byte, a credential in an event or a log, an upstream chosen by what a client sent, or
(mode observe) a request that waits for Kafka.
"""
