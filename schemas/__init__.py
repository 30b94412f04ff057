"""The contract: what travels between the parts of Penstock, and what an operator may configure.

Words: *event* (one CloudEvent of any topic), *frame* (a traffic record: the events of many exchanges),
*order* (a kill, block, revoke or lease), *commitment* (what a leaf says of content), *policy*, *settings*.

Nothing here opens a socket, reads a clock or keeps state; files are read by `settings`, `policy` and `secrets` alone.
"""
