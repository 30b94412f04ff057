"""How each provider speaks: what a request asks, what a chunk says, how a stream ends, what was used and what it costs.

Words: *api* (which of the known protocols an exchange follows), *event* (one SSE event with its blank line), *channel*
(one text of a reply: `0/content`, `0/tool/1/arguments`), *method* (how tokens are counted: vocabulary, factor, offset),
*usage* (the provider's own figures).

Bytes and text enter, plain values leave. Nothing here opens a socket or reads a clock; the vocabularies are package
data, read once and checked against their digests.
"""
