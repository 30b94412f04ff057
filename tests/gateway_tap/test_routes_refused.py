"""A path that names no upstream is refused; nobody sees the credential that came with it."""

import pytest

from penstock.gateway_tap import names

INSIDE = "the upstream's name stands for no address that the gateway may call (allow_private)"


async def fine(call, reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")


@pytest.mark.parametrize(
    "target",
    [
        "/nope/v1/chat/completions",
        "/antropic/v1/messages",
        "http://169.254.169.254/latest/meta-data",
        "/openai/../v1/chat/completions",
        "//other/v1/chat/completions",
    ],
)
async def test_a_path_of_no_upstream_is_a_404_that_names_those_there_are(upstream, tap, answer, target):
    first, second = await upstream(fine), await upstream(fine)
    gate = await tap(first.url, second.url)
    reader, writer = await gate.connect()
    writer.write(
        f"POST {target} HTTP/1.1\r\nhost: other\r\nx-forwarded-host: other\r\nauthorization: Bearer sk-1"
        "\r\ncontent-length: 2\r\n\r\n{}".encode()
    )
    status, headers, body = await answer(reader)
    assert status == 404
    assert b"/openai/, /other/" in body
    assert headers["x-penstock-exchange-id"] == gate.ids()[0]
    assert first.connections == second.connections == 0
    completion = await gate.completion()
    assert (completion.outcome, completion.status) == ("tap_error", 404)


@pytest.mark.parametrize("host", ["other", "169.254.169.254", "127.0.0.1:1"])
@pytest.mark.parametrize("prefix", ["", "http://other", "http://169.254.169.254:80"])
async def test_no_authority_of_a_client_chooses_an_upstream(upstream, tap, answer, host, prefix):
    first, second = await upstream(fine), await upstream(fine)
    gate = await tap(first.url, second.url)
    reader, writer = await gate.connect()
    writer.write(f"GET {prefix}/v1/models HTTP/1.1\r\nhost: {host}\r\nx-forwarded-host: other\r\n\r\n".encode())
    assert (await answer(reader))[0] == 200
    assert [call.line for call in first.calls] == ["GET /v1/models HTTP/1.1"]
    assert first.calls[0].header("host") == first.url.removeprefix("http://")
    assert second.connections == 0


@pytest.mark.parametrize(
    ("address", "allowed"), [("127.0.0.1", False), ("10.0.0.5", False), ("169.254.169.254", True), ("fe80::1", True)]
)
async def test_a_name_that_stands_for_an_address_inside_is_not_called(tap, post, answer, monkeypatch, address, allowed):
    async def look_up(host, port):
        return [address]

    monkeypatch.setattr(names, "look_up", look_up)
    gate = await tap("http://rebound.example", each={"allow_private": allowed})
    reader, writer = await gate.connect()
    writer.write(post(b"{}", headers="authorization: Bearer sk-1\r\n"))
    status, _, body = await answer(reader)
    assert status == 502
    assert b"stands for no address that the gateway may call" in body
    assert address.encode() not in body
    completion = await gate.completion()
    assert (completion.outcome, completion.reason) == ("upstream_error", INSIDE)
