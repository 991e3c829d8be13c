"""TLS certificates for a private server, made by trustme: an authority, and a certificate for 127.0.0.1 signed by it.

Clients verify both, as they do with RDS. The certificates that MySQL creates by itself contain no host name, and
OpenSSL's strict checks refuse them.
"""

from dataclasses import dataclass
from pathlib import Path

import trustme

HOSTS = ("127.0.0.1", "localhost", "host.docker.internal")
"""The last one is the name of this machine inside a container."""


@dataclass(frozen=True)
class Certificates:
    """Paths of PEM files."""

    ca: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    files = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server-key.pem")
    authority = trustme.CA(path_length=0, organization_name="Rowferry", organization_unit_name="local authority")
    server = authority.issue_cert(*HOSTS, organization_name="Rowferry", organization_unit_name="local server")
    authority.cert_pem.write_to_path(files.ca)
    server.cert_chain_pems[0].write_to_path(files.certificate)
    files.key.touch(mode=0o600)
    server.private_key_pem.write_to_path(files.key)
    return files
