"""The emulator's certificate, and the authority that its clients trust."""

import trustme

from local.place import Place


def make_certificate(place: Place) -> dict[str, str]:
    """Make an authority and a certificate for localhost; return the variables with which the emulator finds them."""
    authority = trustme.CA(organization_name="Backlot local mode")
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    chain, key = place.run / "emulator.crt", place.run / "emulator.key"
    authority.cert_pem.write_to_path(str(place.authority))
    key.touch(mode=0o600)
    certificate.private_key_pem.write_to_path(str(key))
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    return {"MINISTACK_SSL_CERT": str(chain), "MINISTACK_SSL_KEY": str(key)}
