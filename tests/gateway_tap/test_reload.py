"""A changed file, or SIGHUP, while a stream runs: what changed holds from then on, the stream ends as it would have."""

import json
import signal
from pathlib import Path
from typing import Any

from penstock.gateway_tap.reload import Reload
from penstock.schemas.keys import key_hash
from penstock.schemas.settings import Settings

from .processes import LAST, Held, ask, tap_process

OWNER = {"name": "o", "contact": "c"}


async def test_upstreams_come_and_go_beside_a_running_stream(tmp_path: Path, upstream: Any, answer: Any) -> None:
    one, two = Held("one"), Held("two")
    two.go_on.set()
    first, second = await upstream(one), await upstream(two)
    async with tap_process(tmp_path, first.url) as tap:
        reader, writer = await tap.connect()
        writer.write(ask("/one/v1/chat/completions"))
        await reader.readuntil(b"one begins")
        tap.write(upstreams=[{"name": "two", "url": second.url}])
        await tap.said('"event": "reloaded"')
        other_reader, other_writer = await tap.connect()
        other_writer.write(ask("/two/v1/chat/completions"))
        status, _, body = await answer(other_reader)
        assert (status, b"two ends" in body) == (200, True)
        other_writer.write(ask("/one/v1/chat/completions"))
        assert (await answer(other_reader))[0] == 404
        one.go_on.set()
        assert (await reader.readuntil(LAST)).count(b"one ends") == 1
        writer.write(b"GET /one/v1/models HTTP/1.1\r\nhost: t\r\n\r\n")
        assert (await answer(reader))[0] == 404
        writer.close()
        other_writer.close()


async def test_a_bad_file_keeps_the_old_and_says_so(tmp_path: Path, upstream: Any, answer: Any) -> None:
    held = Held()
    held.go_on.set()
    policy = json.dumps({"owner": OWNER, "version": "v1"})
    async with tap_process(
        tmp_path, (await upstream(held)).url, files={"policy.yaml": policy}, policy="policy.yaml"
    ) as tap:
        (tmp_path / "policy.yaml").write_text('{"owner": 1}')
        await tap.said('"event": "reload_failed"')
        assert str(tmp_path / "policy.yaml") in tap.log()
        status, body = await tap.get("/readyz", tap.authorization)
        assert (status, json.loads(body)["config"]) == (200, "stale")
        assert b"penstock_tap_reload_failed 1\n" in (await tap.get("/metrics", tap.authorization))[1]
        reader, writer = await tap.connect()
        writer.write(ask())
        assert (await answer(reader))[0] == 200
        (tmp_path / "policy.yaml").write_text(json.dumps({"owner": OWNER, "version": "v2"}))
        await tap.said('"policy_version": "v2"')
        assert b"penstock_tap_reload_failed 0\n" in (await tap.get("/metrics", tap.authorization))[1]
        tap.write(upstreams=[])
        await tap.said('"event": "reload_failed"', 2)
        writer.write(ask())
        assert (await answer(reader))[0] == 200
        writer.close()


async def test_a_hangup_reloads_and_names_what_waits_for_a_restart(tmp_path: Path, upstream: Any) -> None:
    async with tap_process(tmp_path, (await upstream(Held())).url) as tap:
        tap.tell(signal.SIGHUP)
        await tap.said('"event": "reloaded"')
        assert "restart_needed" not in tap.log()
        content = json.loads((tmp_path / "penstock.yaml").read_text())
        tap.write(tap={**content["tap"], "listen": "127.0.0.1:1", "timeouts": {"drain_s": 3}})
        await tap.said("restart_needed")
        assert '"keys": ["tap.listen"]' in tap.log()
        tap.tell(signal.SIGTERM)
        assert await tap.ended() == 0
        assert '"within_s": 3.0' in tap.log()


async def test_keys_callers_headers_and_failures_change(tap: Any, tmp_path: Path, post: Any, answer: Any) -> None:
    gate = await tap("http://127.0.0.1:9")
    core, digest = gate.core, key_hash(b"sk-1", gate.core.pepper)
    given: dict[str, Any] = {"base": tmp_path, "upstreams": [{"name": "openai", "url": "http://127.0.0.1:9"}]}
    path = tmp_path / "policy.yaml"
    path.write_text(json.dumps({"owner": OWNER, "version": "v1"}))
    now = Settings(**given, policy="policy.yaml")
    reload = Reload(core, now, lambda: now)
    pool = core.pools["openai"]
    path.write_text(
        json.dumps(
            {
                "owner": OWNER,
                "version": "v2",
                "keys": [{"id": "k1", "hash": digest}],
                "failures": {"on_control_loss": "deny_new", "on_journal_full": "refuse"},
            }
        )
    )
    now = Settings(
        **given,
        policy="policy.yaml",
        tap={"trusted_callers": ["10.0.0.0/8"], "published_headers": ["x-mine"]},  # type: ignore[arg-type]
    )
    reload.look()
    assert core.keys.find(digest) is not None
    assert core.trusted("10.1.1.1", "")
    assert core.policy_version == "v2"
    assert core.on_journal_full == "refuse"
    assert core.policy.failures.on_control_loss == "deny_new"
    assert core.pools["openai"] is pool
    (event,) = gate.publisher.audits
    assert (event.act, event.details["version"], len(event.details["digest"])) == ("policy_changed", "v2", 64)
    reader, writer = await gate.connect()
    writer.write(post(b"{}", headers="authorization: Bearer sk-1\r\nx-mine: seen\r\n"))
    await answer(reader)
    head = gate.head()
    assert (head.identity.key_id, head.identity.authenticated) == ("k1", True)
    assert head.headers["x-mine"] == "seen"
    writer.close()
