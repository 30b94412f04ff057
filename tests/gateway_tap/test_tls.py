"""TLS on both sides: certificates are checked, changed while streams run, and named where they do not fit."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from penstock.gateway_tap.tls import client_context, server_context
from penstock.schemas.errors import SettingsError
from penstock.schemas.tap_settings import ServerTls

from .processes import HEAD, LAST, Held, ask, event, tap_process

GIVEN = ServerTls(certificate="server.pem", key="server.key")


def write(folder: Path, ca: trustme.CA) -> None:
    made = ca.issue_cert("127.0.0.1")
    made.private_key_pem.write_to_path(folder / "server.key")
    made.cert_chain_pems[0].write_to_path(folder / "server.pem")


def trusting(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


async def test_a_new_certificate_is_taken_beside_a_running_stream(tmp_path: Path, upstream: Any, answer: Any) -> None:
    old, new, held = trustme.CA(), trustme.CA(), Held()
    write(tmp_path, old)
    tls = {"certificate": "server.pem", "key": "server.key"}
    async with tap_process(tmp_path, (await upstream(held)).url, tap={"tls": tls}) as tap:
        assert tap.found["url"].startswith("https://")
        host, _, port = tap.found["url"].removeprefix("https://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), ssl=trusting(old))
        writer.write(ask())
        await reader.readuntil(b"one begins")
        (tmp_path / "server.key").write_text("no key")
        await tap.said("reload_failed")
        assert "tap.tls: " in tap.log()
        write(tmp_path, new)
        await tap.said('"event": "reloaded"')
        with pytest.raises(ssl.SSLError):
            await asyncio.open_connection(host, int(port), ssl=trusting(old))
        other_reader, other_writer = await asyncio.open_connection(host, int(port), ssl=trusting(new))
        held.go_on.set()
        assert b"one ends" in await reader.readuntil(LAST)
        other_writer.write(ask())
        assert (await answer(other_reader))[0] == 200
        writer.close()
        other_writer.close()


async def test_an_upstream_is_checked_with_its_own_authority(tmp_path: Path, answer: Any) -> None:
    ca, other = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    other.cert_pem.write_to_path(tmp_path / "other.pem")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + event("secure") + LAST)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    url = "https://{}:{}".format(*server.sockets[0].getsockname())
    upstreams = [{"name": "good", "url": url, "ca": "ca.pem"}, {"name": "wrong", "url": url, "ca": "other.pem"}]
    async with tap_process(tmp_path, upstreams=upstreams) as tap:
        reader, writer = await tap.connect()
        writer.write(ask("/good/v1/chat/completions"))
        status, _, body = await answer(reader)
        assert (status, b"secure" in body) == (200, True)
        writer.write(ask("/wrong/v1/chat/completions"))
        status, _, body = await answer(reader)
        assert (status, b"upstream TLS failed" in body) == (502, True)
        writer.close()
    server.close()


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"tap\.tls\.certificate: cannot read .*server\.pem"):
        server_context(GIVEN, tmp_path)
    write(tmp_path, trustme.CA())
    assert server_context(GIVEN, tmp_path).minimum_version == ssl.TLSVersion.TLSv1_2
    trustme.CA().issue_cert("127.0.0.1").private_key_pem.write_to_path(tmp_path / "server.key")
    with pytest.raises(SettingsError, match=r"tap\.tls: .*KEY_VALUES_MISMATCH"):
        server_context(GIVEN, tmp_path)
    (tmp_path / "ca.pem").write_text("nothing")
    for name in ("ca.pem", "absent.pem"):
        with pytest.raises(SettingsError, match=rf"upstreams\.ca: cannot use .*{name}"):
            client_context(tmp_path / name)
    assert client_context(None).minimum_version == ssl.TLSVersion.TLSv1_2
