import pytest

from penstock.schemas.paths import belongs_to, reserved


@pytest.mark.parametrize("segment", ["v1", "v2", "v1beta", "v1alpha", "v1beta1"])
def test_versions_belong_to_every_dialect(segment: str) -> None:
    assert belongs_to(segment, "openai")
    assert belongs_to(segment, "opaque")
    assert reserved(segment)


@pytest.mark.parametrize("segment", ["", "v", "V1", "v1x", "nope", "openai2", "v1/"])
def test_anything_else_belongs_to_none(segment: str) -> None:
    assert not belongs_to(segment, "openai")
    assert not reserved(segment)


def test_an_upstream_may_be_named_as_its_provider() -> None:
    assert not any(reserved(name) for name in ("openai", "anthropic", "gemini", "azure", "ollama", "cohere", "mistral"))
    assert all(reserved(name) for name in ("chat", "models", "messages", "upload", "model", "api"))
