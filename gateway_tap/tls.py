"""Edge: TLS contexts of both sides. At least TLS 1.2; an upstream's certificate is always checked for its name."""

import ssl
from pathlib import Path

from penstock.schemas.errors import SettingsError
from penstock.schemas.tap_settings import ServerTls


def server_context(given: ServerTls, base: Path) -> ssl.SSLContext:
    """What the listener proves itself with. SettingsError as `load_certificate`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    load_certificate(context, given, base)
    return context


def load_certificate(context: ssl.SSLContext, given: ServerTls, base: Path) -> None:
    """Another certificate for the handshakes from now on; connections that stand keep theirs. SettingsError where a
    file cannot be read, or the key is not the certificate's: then `context` stays as it was."""
    certificate, key = base / given.certificate, base / given.key
    for name, path in (("certificate", certificate), ("key", key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise SettingsError(f"tap.tls.{name}: cannot read {path} ({error.strerror})") from error
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_none)
        context.load_cert_chain(certificate, key, password=_none)
    except (ssl.SSLError, ValueError) as error:
        reason = error.reason if isinstance(error, ssl.SSLError) and error.reason else "not readable as PEM"
        raise SettingsError(
            f"tap.tls: {certificate} and {key} do not fit ({reason}): write a PEM certificate chain, the server's own"
            " first, and its key without a password"
        ) from error


def client_context(ca: Path | None) -> ssl.SSLContext:
    """What an upstream is checked with: the system's authorities, or those in the PEM file `ca` alone. SettingsError
    names a file that cannot be used."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ValueError) as error:
        reason = "it holds no PEM certificate" if isinstance(error, ssl.SSLError) else getattr(error, "strerror", "")
        raise SettingsError(f"upstreams.ca: cannot use {ca} ({reason}): write a file of PEM certificates") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _none() -> str:
    """No password: without this, OpenSSL would ask for one on the terminal."""
    return ""
