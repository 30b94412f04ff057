"""Edge: an exchange's call of its upstream: made once, or again where that is safe; left when nobody waits for it."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from .attempts import KEY, Cause, again_after_s
from .deadlines import NEVER
from .exchange import Exchange
from .pool import Pool
from .request import Request
from .upload import Upload
from .upstream import Answered, Upstream


class Peer(Answered, Protocol):
    """Who is told of the call (the relay)."""

    def upstream_ready(self) -> None:
        """The head is out; more of a body that passes through may follow."""


class Call:
    """`start` once; afterwards `send` what is missing of the body, and `again` or `hang_up` if something went wrong."""

    __slots__ = ("_begin", "_connecting", "_exchange", "_peer", "_pool", "_request", "_until_s", "_upload", "_upstream")

    def __init__(self, peer: Peer, exchange: Exchange, request: Request, upload: Upload) -> None:
        self._peer = peer
        self._exchange = exchange
        self._request = request
        self._upload = upload
        self._pool: Pool | None = None
        self._begin: Callable[[], bytes] = bytes
        self._upstream: Upstream | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._until_s = NEVER

    def start(self, pool: Pool, begin: Callable[[], bytes]) -> None:
        """Calls an upstream of `pool`, over a connection that waits or a new one. `begin` gives the head, and what is
        known of the body, for each attempt."""
        self._pool, self._begin = pool, begin
        self._until_s = pool.clock.monotonic_s() + pool.timeouts.total_s
        upstream = pool.idle()
        if upstream is not None:
            self.upstream_connected(upstream)
        else:
            self._connecting = pool.connect(self)

    def send(self, framed: bytes, *, last: bool = False) -> bool:
        """More of the body. False: nobody is there to take it yet; it waits."""
        if self._upstream is None or self._pool is None:
            self._upload.waiting += framed
            return False
        self._upstream.send(framed, self._pool.clock.monotonic_s(), last=last)
        return True

    def flow(self, full: bool) -> None:
        """The answer is read no further while it is `full` behind us."""
        if self._upstream is None or self._pool is None:
            return
        if full:
            self._upstream.pause()
        else:
            self._upstream.resume(self._pool.clock.monotonic_s())

    def again(self, reason: str, cause: Cause) -> bool:
        """Gives up this attempt for another one, where the settings and the request allow it."""
        pool, upstream = self._pool, self._upstream
        assert pool is not None
        after_s = again_after_s(
            pool.retries,
            1 + len(self._exchange.retried),
            cause,
            method=self._request.method,
            keyed=KEY in self._request.fields,
            sent=upstream is not None,
            kept=upstream is not None and upstream.reused,
            whole=self._upload.whole is not None,
        )
        if after_s is None or pool.clock.monotonic_s() + after_s >= self._until_s:
            return False
        self.hang_up()
        self._exchange.retried.append(reason)
        self._connecting = pool.connect(self, after_s)
        return True

    def over(self) -> None:
        """The answer has ended; its connection belongs to the pool again."""
        self._upstream = None

    def hang_up(self) -> None:
        """Lets go of the upstream."""
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None

    # ── what the pool calls ──

    def upstream_connected(self, upstream: Upstream) -> None:
        pool = self._pool
        assert pool is not None
        self._connecting = None
        self._upstream = upstream
        upstream.call(
            self._peer,
            self._begin(),
            whole=self._upload.complete,
            head_only=self._request.method == "HEAD",
            now_s=pool.clock.monotonic_s(),
            until_s=self._until_s,
        )
        if not self._upload.complete:
            self._peer.upstream_ready()

    def upstream_lost(self, reason: str, timeout: bool, cause: Cause) -> None:
        self._connecting = None
        self._peer.upstream_lost(reason, timeout, cause)

    def fault(self) -> None:
        self._peer.fault()
