import pytest

from penstock.gateway_tap.delivery import Delivery


class Client:
    def __init__(self) -> None:
        self.written = b""
        self.aborted = self.broken_off = False

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        self.aborted = True

    def break_off(self) -> None:
        self.broken_off = True


def deliver(
    length: int | None, *, http10: bool = False, head_only: bool = False, close: bool = False, status: int = 200
) -> tuple[Delivery, Client]:
    client = Client()
    delivery = Delivery(client, http10=http10, head_only=head_only, close=close)
    delivery.head(status, b"", [(b"content-type", b"t")], length, "id-1")
    return delivery, client


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: t\r\nx-penstock-exchange-id: id-1\r\n"


def test_a_known_length_is_kept() -> None:
    delivery, client = deliver(5)
    delivery.give(b"ab")
    delivery.give(b"cde")
    delivery.end()
    assert client.written == HEAD + b"content-length: 5\r\n\r\nabcde"
    assert delivery.keep_alive


def test_an_open_end_is_chunked() -> None:
    delivery, client = deliver(None)
    delivery.flush()
    assert client.written == HEAD + b"transfer-encoding: chunked\r\n\r\n"
    delivery.give(b"")
    delivery.give(b"abc")
    delivery.hold(b"de")
    assert delivery.holding
    delivery.end()
    assert client.written.endswith(b"\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")


def test_http10_ends_with_the_connection() -> None:
    delivery, client = deliver(None, http10=True, close=False)
    delivery.give(b"abc")
    delivery.end()
    assert client.written == HEAD + b"connection: close\r\n\r\nabc"
    assert not delivery.keep_alive


@pytest.mark.parametrize(
    ("status", "head_only", "length", "framing"),
    [
        (200, True, 5, b"content-length: 5\r\n"),
        (200, True, None, b""),
        (204, False, None, b""),
        (304, False, 5, b""),
        (304, True, 5, b"content-length: 5\r\n"),
    ],
)
def test_answers_without_a_body(status: int, head_only: bool, length: int | None, framing: bytes) -> None:
    delivery, client = deliver(length, head_only=head_only, status=status)
    delivery.end()
    assert client.written.endswith(b"id-1\r\n" + framing + b"\r\n")


def test_a_closing_connection_says_so() -> None:
    delivery, client = deliver(0, close=True)
    delivery.end()
    assert client.written.endswith(b"content-length: 0\r\nconnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("length", "http10", "reset"), [(5, False, False), (None, False, False), (5, True, False), (None, True, True)]
)
def test_a_client_is_reset_only_where_its_framing_would_not_tell(length: int | None, http10: bool, reset: bool) -> None:
    delivery, client = deliver(length, http10=http10)
    delivery.abort()
    assert (client.aborted, client.broken_off) == (reset, not reset)
