import asyncio
from typing import Any

from penstock.gateway_tap.outlet import GATHERED_MAX_BYTES, Outlet, Turn


class Transport:
    """What a transport was asked for, in order."""

    def __init__(self, *, half_closes: bool = True) -> None:
        self.calls: list[Any] = []
        self._half_closes = half_closes

    def write(self, data: bytes) -> None:
        self.calls.append(data)

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def write_eof(self) -> None:
        self.calls.append("eof")

    def can_write_eof(self) -> bool:
        return self._half_closes

    def is_closing(self) -> bool:
        return "close" in self.calls or "abort" in self.calls

    def get_write_buffer_size(self) -> int:
        return 100


def outlet(transport: Transport, turn: Turn) -> Outlet:
    return Outlet(transport, turn)  # type: ignore[arg-type]


async def test_what_a_turn_writes_goes_out_once_at_its_end() -> None:
    turn, one, other = Turn(), Transport(), Transport()
    first, second = outlet(one, turn), outlet(other, turn)
    first.write(b"a")
    second.write(b"x")
    first.write(b"b")
    assert (one.calls, other.calls) == ([], [])
    assert first.waiting_bytes == 102
    await asyncio.sleep(0)
    assert (one.calls, other.calls) == ([b"ab"], [b"x"])
    first.write(b"c")
    await asyncio.sleep(0)
    assert one.calls == [b"ab", b"c"]


async def test_a_long_piece_goes_out_at_once_in_its_order() -> None:
    transport = Transport()
    long, written = b"l" * (GATHERED_MAX_BYTES + 1), outlet(transport, Turn())
    written.write(b"a")
    written.write(long)
    assert transport.calls == [b"a" + long]
    written.write(b"b")
    await asyncio.sleep(0)
    assert transport.calls == [b"a" + long, b"b"]


async def test_an_end_comes_after_what_was_written() -> None:
    for end in ("close", "abort", "write_eof"):
        transport = Transport()
        ended = outlet(transport, Turn())
        ended.write(b"last")
        getattr(ended, end)()
        assert transport.calls == [b"last", end.removeprefix("write_")]
        await asyncio.sleep(0)
        assert len(transport.calls) == 2


async def test_nothing_is_written_to_what_is_closing() -> None:
    transport = Transport()
    closed = outlet(transport, Turn())
    closed.close()
    closed.write(b"late")
    await asyncio.sleep(0)
    assert transport.calls == ["close"]


async def test_a_side_that_cannot_be_closed_alone_is_named() -> None:
    transport = Transport(half_closes=False)
    assert not outlet(transport, Turn()).write_eof()
    assert transport.calls == []
