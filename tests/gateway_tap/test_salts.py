import base64

from penstock.gateway_tap.salts import BATCH, Salts


def test_salts_are_sixteen_bytes_and_never_repeat() -> None:
    salts = Salts()
    drawn = [salts() for _ in range(3 * BATCH)]
    assert len(set(drawn)) == len(drawn)
    assert {len(base64.b64decode(salt, validate=True)) for salt in drawn} == {16}
