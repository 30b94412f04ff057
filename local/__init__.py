"""The embedded default: Kafka and ClickHouse as child processes on loopback, and the supervisor of `penstock up`.

Words: *service* (the embedded broker or store), *child* (a process that the supervisor started), *run file*
(`<state_dir>/run/NAME.json`: a child is ready, and where it listens), *leftover* (a child whose supervisor was killed),
*role* (admin, writer or reader of the store), *handle* (one connection to the engine).

Enters: settings, HTTP on loopback. Leaves: running processes, run files, logs. Never: a listener beyond loopback, a
statement that the role of its caller does not allow, a process that outlives `up`.
"""
