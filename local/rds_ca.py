"""RDS's certificate authorities, as src/rowferry/storage/rds-ca.pem ships them: `make rds-ca` renews the file.

AWS's bundle is downloaded, looked through, and written in one form: a root to an entry, sorted, named, with those left
out that have expired or belong to no public region. It must then be the pinned text; what differs is told, and pinned
by changing PIN once it is what AWS announced.
"""

import argparse
import hashlib
import re
import sys
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from local.emulator import ROOT
from local.processes import LocalError

SOURCE = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
FILE = ROOT / "src/rowferry/storage/rds-ca.pem"
PIN = "73f6190230da6d0adddccb70c71530bf6ac933126c31cf108d7178a24eb928fd"
OWNER = ("Amazon Web Services, Inc.", "Amazon RDS")


def renewed(bundle: bytes, now: datetime) -> str:
    """The file's text. Raises: LocalError where something else than RDS's roots is in the bundle."""
    kept = {}
    for certificate in x509.load_pem_x509_certificates(bundle):
        name = subject_name(certificate)
        if certificate.not_valid_after_utc > now and not name.startswith(("Amazon RDS Beta", "Amazon RDS Preview")):
            check_root(certificate, name)
            kept[name] = f"# {name}\n{certificate.public_bytes(Encoding.PEM).decode()}"
    return "".join(kept[name] for name in sorted(kept))


def check_root(certificate: x509.Certificate, name: str) -> None:
    owner = tuple(
        attribute.value
        for kind in (NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME)
        for attribute in certificate.subject.get_attributes_for_oid(kind)
    )
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, InvalidSignature) as error:
        raise LocalError(f"{name} is not signed by itself, so nothing was written") from error
    authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    if owner != OWNER or not authority:
        raise LocalError(f"{name} is not an authority of Amazon RDS, so nothing was written")


def subject_name(certificate: x509.Certificate) -> str:
    """The common name, or the whole subject if there is no common name."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else certificate.subject.rfc4514_string()


def names(text: str) -> set[str]:
    return {line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")}


def regions(text: str) -> list[str]:
    """Those with the authority that the template's database has."""
    return re.findall(r"^# Amazon RDS (\S+) Root CA RSA2048 G1$", text, re.MULTILINE)


def renew(bundle: bytes) -> str:
    """Writes the file where it is as pinned; answers what to say."""
    text = renewed(bundle, datetime.now(UTC))
    digest = hashlib.sha256(text.encode()).hexdigest()
    before = names(FILE.read_text()) if FILE.exists() else set()
    came, went = sorted(names(text) - before), sorted(before - names(text))
    if digest != PIN:
        changes = "\n".join([*(f"  + {name}" for name in came), *(f"  - {name}" for name in went)])
        raise LocalError(
            f"AWS's bundle (SHA-256 {hashlib.sha256(bundle).hexdigest()}) is not the pinned one; nothing was written:\n"
            f"{changes or '  same names, other keys'}\n"
            f'When that is what AWS announced: PIN = "{digest}" in local/rds_ca.py, and in template.yaml the rule'
            f" AuthoritiesOfTheRegion lists {', '.join(regions(text))}"
        )
    FILE.write_text(text)
    return f"{FILE.relative_to(ROOT)}: {len(names(text))} authorities, as pinned"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make rds-ca", description=__doc__)
    parser.add_argument("bundle", nargs="?", type=Path, help="a bundle that was downloaded by other means")
    chosen = parser.parse_args(arguments).bundle
    try:
        print(renew(chosen.read_bytes() if chosen else download()))
    except LocalError as error:
        print(f"rds-ca: {error}", file=sys.stderr)
        return 1
    return 0


def download() -> bytes:
    try:
        with urllib.request.urlopen(SOURCE, timeout=30) as answer:
            return bytes(answer.read())
    except OSError as error:
        raise LocalError(f"{SOURCE} is out of reach: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
