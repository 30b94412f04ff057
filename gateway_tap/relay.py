"""Edge: one exchange, from the request that was read to the completion: asks admission, calls the upstream, passes
bytes both ways, records them, ends it.

    request ─▶ tape.prompt ─▶ admit ─▶ (strict: acknowledged) ─▶ upstream ─▶ delivery, capture ─▶ completion

Bytes go to the tape first and to the client afterwards: nothing is given that is not recorded.
"""

import asyncio
import functools
from typing import Final

from penstock.wire import masks
from penstock.wire.ending import stream_terminal

from . import admission
from .admission import Verdict
from .answer import AnswerReader
from .attempts import Cause
from .call import Call
from .capture import Capture
from .core import Core
from .delivery import Delivery, Owner, last_bytes_at
from .exchange import State, Step
from .headers import joined
from .opening import judge, open_exchange
from .orders import Standing
from .refuse import Refusal, lost, not_ready
from .request import Request
from .upload import Upload
from .waits import Wait

BORDER_WAIT_S: Final = 0.25
COMPLETION_ACK_S: Final = 30.0


class Relay:
    """One exchange. `start` once; afterwards the two connections call in, until `Owner.finished` or `Owner.abort`."""

    def __init__(self, core: Core, owner: Owner, request: Request, body: bytes | None) -> None:
        opened = open_exchange(core, request, body, owner.address)
        self.exchange, self.scopes = opened.exchange, opened.scopes
        self._core, self._owner, self._request, self._opened = core, owner, request, opened
        self._pool = core.pools[opened.chosen.route.name] if opened.chosen else None
        self._tape = opened.tape
        self._upload = Upload(request, body)
        self._delivery = Delivery(
            owner, http10=request.version == "1.0", head_only=request.method == "HEAD", close=not request.keep_alive
        )
        self._capture: Capture | None = None
        self._call = Call(self, opened.exchange, request, self._upload)
        self._wait: Wait | None = None
        self._border: asyncio.TimerHandle | None = None
        self._killer: Standing | None = None
        self._client_full = False

    # ── the request ──

    def start(self) -> None:
        """Publishes the prompt, asks for admission, and calls the upstream or refuses."""
        core, exchange = self._core, self.exchange
        core.begun(self)
        now_us = core.clock.now_us()
        self._tape.prompt(self._opened.head, self._upload.whole or b"", core.clock.stamp(now_us))
        verdict = judge(core, self._request, self._opened, now_us)
        if verdict is not None and verdict.order is not None and verdict.order.observed:
            exchange.observe(verdict.order)
        elif verdict is not None:
            self._refuse(verdict)
            return
        exchange.step(Step.ADMIT)
        held = core.held(self._opened.partition)
        if held is None:
            self._release()
            return
        if not self._upload.complete:
            self._owner.pause_body(True)
        self._wait = Wait(*held, self._prompt_acknowledged)

    def request_body(self, data: bytes) -> None:
        """More of a body that passes through."""
        if self.exchange.over or self._upload.complete:
            return
        core = self._core
        framed = self._upload.piece(data)
        self._tape.prompt_piece(data, core.clock.stamp(core.clock.now_us()))
        if self._upload.bytes > core.tap.body_max_bytes:
            self._hang_up()
            self._fail(Step.FAULT, Refusal(413, "the request's body is too large", "request_too_large"))
        elif not self._call.send(framed):
            self._owner.pause_body(True)

    def request_end(self) -> None:
        """The body that passes through is complete."""
        if self.exchange.over or self._upload.complete:
            return
        framed = self._upload.end()
        self._tape.prompt_end(self._core.clock.stamp(self._core.clock.now_us()))
        self._call.send(framed, last=True)

    def _prompt_acknowledged(self, acknowledged: bool) -> None:
        self._wait = None
        if acknowledged:
            self._release()
        else:
            self._fail(Step.FAULT, not_ready(self._core.gate.no_room))

    def _release(self) -> None:
        chosen, pool = self._opened.chosen, self._pool
        assert chosen is not None and pool is not None
        self.exchange.step(Step.RELEASE)
        opened = self._opened
        request = functools.partial(self._upload.start, chosen, opened.headers, opened.asked)
        self._call.start(pool, request)

    def upstream_ready(self) -> None:
        """The upstream takes the body that passes through."""
        self._owner.pause_body(False)

    # ── the answer ──

    def upstream_head(self, answer: AnswerReader) -> None:
        """The upstream has answered."""
        exchange = self.exchange
        if answer.status >= 400 and self._call.again(f"upstream status {answer.status}", answer.status):
            return
        exchange.step(Step.HEAD)
        content_type = answer.fields.get(b"content-type", b"").strip()
        encoding = joined(answer.headers, answer.fields, b"content-encoding").lower()
        exchange.status = exchange.upstream_status = answer.status
        exchange.headers = masks.published(answer.headers, self._core.response_headers)
        exchange.content_type = content_type.decode("latin-1")
        exchange.content_encoding = encoding.decode("latin-1")
        sse = content_type[:17].lower() == b"text/event-stream"
        info = self._opened.info
        array = info.stream and info.api == "gemini.generate" and not sse and answer.status < 400
        self._capture = Capture(self._tape, info.api, sse=sse, encoding=encoding, array=array, reports=info.reports)
        if self._opened.asked is not None:
            self._capture.withhold_usage()
        self._delivery.head(answer.status, answer.reason, answer.headers, answer.length, exchange.id)

    def upstream_read(self, data: bytes, ended: bool) -> None:
        """Body bytes, and perhaps the end."""
        capture, exchange, clock = self._capture, self.exchange, self._core.clock
        assert capture is not None
        now_us = clock.now_us()
        stamp = clock.stamp(now_us)
        if exchange.state is State.CUTTING:
            self._cut_read(capture, data, ended, stamp)
            return
        if data and exchange.ttft_us is None:
            exchange.ttft_us = int((clock.monotonic_s() - exchange.started_s) * 1_000_000)
        if capture.withholding:
            self._give_asked(capture, data, ended, stamp)
        elif self._core.strict:
            self._give_strict(capture, data, ended, stamp)
        else:
            if data:
                capture.answer(data, stamp, last=ended)
            self._delivery.give(data)
        if ended:
            self._call.over()
            capture.end(stamp)
            exchange.step(Step.ANSWERED, capture.trouble)
            self._finish()

    def upstream_lost(self, reason: str, timeout: bool, cause: Cause) -> None:
        """The connection could not be made, or ended before the answer did."""
        if self._pool is not None:
            self._core.lost[self._pool.route.name, str(cause)] += 1
        if self.exchange.state is State.CUTTING:
            self._cut()
        elif self.exchange.state is not State.CALLING or not self._call.again(reason, cause):
            self._call.over()
            self._fail(Step.UPSTREAM_LOST, lost(reason, timeout))

    def upstream_full(self, full: bool) -> None:
        """The upstream does not keep up with the request's body."""
        if not self._upload.complete:
            self._owner.pause_body(full)

    def client_full(self, full: bool) -> None:
        """The client does not keep up with the answer."""
        self._client_full = full
        self.flow()

    def flow(self) -> None:
        """The upstream is read no further while the client, or what is recorded, does not keep up."""
        self._call.flow(full=self._client_full or self._core.pressed)

    def client_lost(self, reason: str) -> None:
        """The client is gone: the upstream is told at once, by hanging up."""
        self._hang_up()
        if self.exchange.over:
            return
        self.exchange.step(Step.CLIENT_LOST, reason)
        self._end_capture()
        self._finish(settle=False)

    def _give_strict(self, capture: Capture, data: bytes, ended: bool, stamp: bytes) -> None:
        """As `give`, but the stream's own last event, or the last read, waits for the completion's acknowledgement."""
        pending_bytes = capture.pending_bytes
        events = capture.answer(data, stamp, last=ended) if data else []
        cut = 0 if self._delivery.holding else last_bytes_at(self._opened.info.api, pending_bytes, events, data, ended)
        if cut or not ended:
            self._delivery.give(data[:cut])
        self._delivery.hold(data[cut:])

    def _give_asked(self, capture: Capture, data: bytes, ended: bool, stamp: bytes) -> None:
        """Whole events alone, without the one that only our asking brought; in audit strict the last ones wait."""
        events = capture.answer_asked(data, stamp, ended=ended)
        if self._core.strict and not self._delivery.holding:
            api = self._opened.info.api
            last = next((at for at, event in enumerate(events) if stream_terminal(api, event)), None)
            last = (0 if ended else len(events)) if last is None else last
            self._delivery.give(b"".join(events[:last]))
            self._delivery.hold(b"".join(events[last:]))
        elif self._core.strict:
            self._delivery.hold(b"".join(events))
        else:
            self._delivery.give(b"".join(events))

    # ── orders ──

    def kill(self, standing: Standing) -> None:
        """A kill order for this exchange. Mode observe notes it; else the exchange ends, upstream first."""
        exchange, capture = self.exchange, self._capture
        now_us = self._core.clock.now_us()
        if not self._core.gate.enforcing:
            exchange.observe(standing.applied(now_us, observed=True))
            return
        if self._killer is not None or exchange.over:
            return
        self._killer = standing
        if exchange.state is not State.ANSWERING:
            self._hang_up()
            self._refuse(admission.killed(standing, now_us))
        elif capture is not None and capture.cuttable and self._delivery.open_ended and not capture.at_border:
            exchange.step(Step.KILL_LATER)
            self._border = asyncio.get_running_loop().call_later(BORDER_WAIT_S, self._cut)
        else:
            self._cut()

    def _cut_read(self, capture: Capture, data: bytes, ended: bool, stamp: bytes) -> None:
        """Bytes while a kill waits for the end of an event."""
        given = capture.cut(data, stamp)
        self._delivery.give(data if given is None else data[:given])
        if ended:
            self._call.over()
        if given is not None or ended:
            self._cut()

    def _cut(self) -> None:
        """Ends a running answer here: the upstream is closed first, then the client gets its protocol's ending."""
        capture, standing, core = self._capture, self._killer, self._core
        assert capture is not None and standing is not None
        self._hang_up()
        stamp = core.clock.stamp(core.clock.now_us())
        ending = b""
        if capture.cuttable and self._delivery.open_ended:
            ending = capture.ending(standing.order.reason, admission.kill_code(standing))
        capture.end(stamp)
        if ending:
            capture.made_here(ending, stamp)
            self._delivery.give(ending)
        else:
            self._delivery.abort()
        self.exchange.killed_by = standing.applied(core.clock.now_us())
        self.exchange.step(Step.KILL, standing.order.reason)
        self._finish(settle=bool(ending))

    def stop(self, why: str = "it is stopping") -> None:
        """The tap ends what still runs: it stops, or the policy denies all while no order can reach it."""
        if not self.exchange.over:
            self._hang_up()
            self._fail(Step.FAULT, not_ready(why))

    def fault(self) -> None:
        """Our own code failed in this exchange: the client sees an error, the trail a `tap_error`."""
        if self.exchange.state is State.ENDED:
            return
        self._hang_up()
        if not self.exchange.over:
            self._fail(Step.FAULT, Refusal(500, "the gateway failed", "gateway_fault"))
        else:
            self._owner.abort()

    # ── the end ──

    def _fail(self, step: Step, refusal: Refusal) -> None:
        """Ends for a reason of our own or the upstream's: a refusal before the head, a broken connection after it."""
        if self.exchange.state in (State.ANSWERING, State.CUTTING):
            self._hang_up()
            self._end_capture()
            self._delivery.abort()
            self.exchange.step(step, refusal.message)
            self._finish(settle=False)
        else:
            self._refuse(Verdict(step, refusal.message, refusal))

    def _refuse(self, verdict: Verdict) -> None:
        exchange, core, opened = self.exchange, self._core, self._opened
        going_on = self._request.keep_alive and self._upload.complete and not core.gate.stopping
        close = not (going_on and self._request.problem is None)
        head, body = verdict.refusal.write(opened.info.api, opened.dialect, exchange.id, close=close)
        if self._request.method == "HEAD":
            body = b""
        exchange.status = verdict.refusal.status
        exchange.killed_by = verdict.order
        self._capture = Capture(self._tape, opened.info.api, sse=False, encoding=b"")
        if body:
            self._capture.made_here(body, core.clock.stamp(core.clock.now_us()))
        self._owner.write(head + body)
        self._delivery = Delivery(self._owner, http10=False, head_only=True, close=close)
        exchange.step(verdict.step, verdict.reason)
        self._finish()

    def _finish(self, *, settle: bool = True) -> None:
        """Publishes the completion. `settle`: the client is still there, and gets its last bytes (strict: later)."""
        core, exchange, capture = self._core, self.exchange, self._capture
        now_us = core.clock.now_us()
        stamp = core.clock.stamp(now_us)
        if not self._upload.complete:
            self._tape.prompt_end(stamp)
        figures = {**self._upload.figures(), **(capture.figures() if capture else {})}
        completion = exchange.completion(figures, now_us, core.clock.monotonic_s())
        self._tape.completion(completion, stamp)
        core.ended(self)
        if not settle:
            exchange.step(Step.SETTLED)
        elif core.strict:
            acknowledged = core.publisher.acknowledged(self._opened.partition)
            self._wait = Wait(acknowledged, COMPLETION_ACK_S, self._settle)
        else:
            self._settle(True)

    def _settle(self, acknowledged: bool) -> None:
        self._wait = None
        self.exchange.step(Step.SETTLED)
        if acknowledged:
            self._delivery.end()
            self._owner.finished(keep_alive=self._delivery.keep_alive and self._upload.complete)
        else:
            self._owner.abort()

    def _end_capture(self) -> None:
        if self._capture is not None:
            self._capture.end(self._core.clock.stamp(self._core.clock.now_us()))

    def _hang_up(self) -> None:
        """Lets go of the upstream, and of everything that waits."""
        self._call.hang_up()
        if self._wait is not None:
            self._wait.cancel()
            self._wait = None
        if self._border is not None:
            self._border.cancel()
            self._border = None
