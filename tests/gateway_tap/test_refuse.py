import json

from penstock.gateway_tap.refuse import Refusal, lost, not_ready


def test_a_refusal_speaks_the_providers_language() -> None:
    refusal = Refusal(429, "used up", "budget_exceeded", 7)
    head, body = refusal.write("openai.chat", "openai", "id-1", close=False)
    assert head.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert b"\r\nretry-after: 7\r\n" in head
    assert b"\r\nx-should-retry: false\r\n" in head
    assert head.endswith(b"\r\nx-penstock-exchange-id: id-1\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert json.loads(body)["error"]["code"] == "budget_exceeded"
    head, body = refusal.write("anthropic.messages", "openai", "id-1", close=True)
    assert head.endswith(b"connection: close\r\n\r\n")
    assert json.loads(body)["type"] == "error"


def test_what_went_wrong_with_an_upstream() -> None:
    assert (lost("slow", True).status, lost("gone", False).status) == (504, 502)
    assert not_ready("x").status == 503
