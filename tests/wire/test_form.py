import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.wire.form import form_field
from penstock.wire.request import read_request

FIELDS = st.dictionaries(st.text("abcdef", min_size=1, max_size=6), st.text("xyz 1.-\n", max_size=12), max_size=3)


def form(fields: dict[str, str], files: dict[str, tuple[str, bytes]]) -> bytes:
    """A form as clients write it."""
    parts = [(f'form-data; name="{name}"', "", value.encode()) for name, value in fields.items()]
    parts += [
        (f'form-data; name="{name}"; filename="{file}"', "Content-Type: audio/wav\r\n", content)
        for name, (file, content) in files.items()
    ]
    body = b"".join(
        f"--f1e2d3\r\nContent-Disposition: {disposition}\r\n{more}\r\n".encode() + content + b"\r\n"
        for disposition, more, content in parts
    )
    return body + b"--f1e2d3--\r\n"


@given(FIELDS, st.text("gpt-4o1é", min_size=1, max_size=12), st.binary(max_size=200))
def test_a_field_is_found_among_others(fields: dict[str, str], model: str, file: bytes) -> None:
    body = form({**fields, "model": model, "z": "last"}, {"file": ("model.wav", b"--\r\n" + file)})
    assert form_field(body, "model") == model


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_forms_by_hand(newline: bytes) -> None:
    lines = [b"--x", b"content-disposition: form-data; name=model", b"", b"m-1", b"--x"]
    lines += [b'Content-Disposition: form-data; name="model"; filename="model"', b"", b"no", b"--x--", b""]
    assert form_field(newline.join(lines), "model") == "m-1"


def test_of_a_repeated_field_the_last_counts() -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n%b\r\n'
    assert form_field(part % b"one" + part % b"two" + b"--x--\r\n", "model") == "two"


@given(
    st.binary(max_size=300) | st.binary(max_size=100).map(lambda tail: b"--x\r\nContent-Disposition: form-data" + tail)
)
def test_it_never_raises(body: bytes) -> None:
    form_field(body, "model")


@pytest.mark.parametrize(
    ("path", "body", "model"),
    [
        ("/v1/audio/transcriptions", form({"model": "whisper-1"}, {"file": ("a.wav", b"RIFF")}), "whisper-1"),
        ("/v1/images/edits", form({"model": "gpt-image-1"}, {"image": ("a.png", b"PNG")}), "gpt-image-1"),
        ("/v1/images/generations", b'{"model":"dall-e-3","prompt":"x"}', "dall-e-3"),
        ("/v1/audio/speech", b'{"model":"tts-1","input":"x"}', "tts-1"),
        ("/v1/moderations", b'{"model":"omni-moderation-latest","input":"x"}', "omni-moderation-latest"),
        ("/v1/files", form({"purpose": "batch"}, {"file": ("a.jsonl", b'{"model":"no"}')}), ""),
        ("/v1/batches", b'{"input_file_id":"f","endpoint":"/v1/chat/completions"}', ""),
    ],
)
def test_what_is_passed_on_unread_has_a_model_all_the_same(path: str, body: bytes, model: str) -> None:
    info = read_request("openai", "POST", path, body)
    assert (info.api, info.model) == ("opaque", model)


def test_an_opaque_upstream_is_not_read_into() -> None:
    assert read_request("opaque", "POST", "/v1/audio/speech", b'{"model":"tts-1"}').model == ""
