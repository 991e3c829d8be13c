"""Tables into S3: what lies there, whole or not at all, and for how long."""

from tests.integration.vault import Vault


def test_a_backup_is_restored_as_it_was(vault: Vault) -> None:
    vault.family()
    before = vault.state()
    id = vault.back_up()
    vault.run("DELETE FROM hired_employees WHERE id > 3", "UPDATE departments SET name = 'Other' WHERE id = 1")
    vault.run("INSERT INTO jobs VALUES (9, 'New')")
    done = vault.restore("departments", "jobs", "hired_employees", id=id)
    assert done == {"departments": (0, 1, 0, 2), "jobs": (0, 0, 1, 2), "hired_employees": (2, 0, 0, 3)}
    assert vault.state() == before
