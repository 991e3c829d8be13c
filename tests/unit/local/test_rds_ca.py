from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509

from local import rds_ca
from local.certificates import make_certificates
from local.processes import LocalError
from local.rds_ca import FILE, PIN, names, renew, renewed

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def test_the_file_that_is_shipped_is_the_pinned_one_and_in_the_form_that_renewing_gives_it() -> None:
    assert sha256(FILE.read_bytes()).hexdigest() == PIN
    assert renewed(FILE.read_bytes(), NOW) == FILE.read_text()


def test_it_has_the_default_authority_of_each_region_for_years() -> None:
    certificates = x509.load_pem_x509_certificates(FILE.read_bytes())
    assert min(c.not_valid_after_utc for c in certificates) > datetime.now(UTC) + timedelta(days=3650)
    there = names(FILE.read_text())
    for region in ("us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-2", "sa-east-1"):
        assert f"Amazon RDS {region} Root CA RSA2048 G1" in there
    assert not [name for name in there if "Beta" in name or "Preview" in name]


def test_what_has_expired_is_left_out() -> None:
    assert renewed(FILE.read_bytes(), datetime(2200, 1, 1, tzinfo=UTC)) == ""


def test_an_authority_that_is_not_rds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="OU=local authority,O=Rowferry is not an authority of Amazon RDS"):
        renewed(make_certificates(tmp_path).ca.read_bytes(), NOW)
    with pytest.raises(LocalError, match="OU=local server,O=Rowferry is not signed by itself"):
        renewed(make_certificates(tmp_path).certificate.read_bytes(), NOW)


def test_a_bundle_that_is_not_the_pinned_one_is_told_and_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FILE.read_text()
    first, _, rest = whole.removeprefix("# ").partition("\n# ")
    shipped = tmp_path / "rds-ca.pem"
    shipped.write_text(whole)
    monkeypatch.setattr(rds_ca, "FILE", shipped)
    bundle = f"# {rest}".encode()
    with pytest.raises(LocalError, match=f"- {first.splitlines()[0]}") as told:
        renew(bundle)
    assert sha256(bundle).hexdigest() in str(told.value)
    assert "AuthoritiesOfTheRegion lists af-south-1, ap-east-1, " in str(told.value)
    assert shipped.read_text() == whole
