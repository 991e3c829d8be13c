"""Restores of tables that have unique indexes, triggers and foreign keys which Rowferry did not make."""

from contextlib import suppress

import pytest

from rowferry.backup import restore
from rowferry.backup.restore import Order
from rowferry.errors import Contention, RowferryError, SchemaDiffers, WouldOrphan
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection
from tests.support.backups import Vault
from tests.support.declared import UNIQUE_NAMES, altered

DROP_UNIQUE = "ALTER TABLE departments DROP INDEX by_name"
CASCADE = (
    "ALTER TABLE hired_employees DROP FOREIGN KEY hired_employees_department_id",
    "ALTER TABLE hired_employees ADD CONSTRAINT hired_employees_department_id FOREIGN KEY (department_id)"
    " REFERENCES departments (id) ON DELETE CASCADE",
)
RESTRICT = (CASCADE[0], CASCADE[1].removesuffix(" ON DELETE CASCADE"))


@pytest.mark.usefixtures("unique_names")
def test_unique_values_that_moved_between_rows_come_back(vault: Vault) -> None:
    vault.family()
    vault.fill("departments", [(4, "Lost"), (5, "Moved")])
    before = vault.state()
    id = vault.back_up()
    vault.run(
        "UPDATE departments SET name = 'x' WHERE id = 1",
        "UPDATE departments SET name = 'Legal' WHERE id = 2",
        "UPDATE departments SET name = 'Payroll' WHERE id = 1",
        "DELETE FROM departments WHERE id IN (4, 5)",
        "INSERT INTO departments VALUES (6, 'moved'), (7, 'new')",
    )
    assert vault.restore("departments", id=id, dry_run=True) == {"departments": (2, 2, 2, 1)}
    assert vault.restore("departments", id=id) == {"departments": (2, 2, 2, 1)}
    assert vault.state() == before


@pytest.mark.usefixtures("unique_names")
def test_parents_with_unique_values_are_restored_together_with_their_children(vault: Vault) -> None:
    vault.family()
    before = vault.state()
    id = vault.back_up()
    vault.run(
        "UPDATE departments SET name = 'x' WHERE id = 1",
        "INSERT INTO departments VALUES (6, 'Legal')",
        "UPDATE hired_employees SET department_id = 6",
    )
    assert vault.restore("departments", "hired_employees", id=id) == {
        "departments": (0, 1, 1, 2),
        "hired_employees": (0, 5, 0, 0),
    }
    assert vault.state() == before


def test_a_backup_that_breaks_a_unique_index_is_refused_by_the_indexs_name(vault: Vault, admin: Connection) -> None:
    vault.fill("departments", [(1, "a"), (2, "A")])
    id = vault.back_up("departments")
    vault.run("UPDATE departments SET name = 'b' WHERE id = 2")
    before = vault.state()
    with altered(admin, UNIQUE_NAMES, undo=[DROP_UNIQUE]):
        with pytest.raises(SchemaDiffers, match=r"by_name.*nothing was changed"):
            vault.restore("departments", id=id)
        assert vault.state() == before
        vault.run("DELETE FROM departments")
        with pytest.raises(SchemaDiffers, match="by_name"):
            vault.restore("departments", id=id)
        assert vault.rows("departments") == []


def test_a_table_with_triggers_is_not_restored(vault: Vault, admin: Connection) -> None:
    vault.family()
    id = vault.back_up()
    vault.run("UPDATE departments SET name = 'x' WHERE id = 1")
    before = vault.state()
    trigger = "CREATE TRIGGER louder BEFORE UPDATE ON departments FOR EACH ROW SET NEW.name = UPPER(NEW.name)"
    for dry_run in (True, False):
        with (
            altered(admin, trigger, undo=["DROP TRIGGER louder"]),
            pytest.raises(SchemaDiffers, match=r"louder \(BEFORE UPDATE\)"),
        ):
            vault.restore("departments", id=id, dry_run=dry_run)
    assert vault.state() == before


def test_rows_of_another_schema_are_not_orphaned_nor_deleted(vault: Vault, admin: Connection) -> None:
    vault.family()
    id = vault.back_up("departments")
    vault.run("INSERT INTO departments VALUES (9, 'New')")
    with altered(
        admin,
        "CREATE DATABASE elsewhere",
        "CREATE TABLE elsewhere.rooms (id INT PRIMARY KEY, department INT,"
        " FOREIGN KEY (department) REFERENCES rowferry.departments (id) ON DELETE CASCADE)",
        "INSERT INTO elsewhere.rooms VALUES (1, 9)",
        f"GRANT SELECT, INSERT ON elsewhere.* TO {vault.settings.db_user}@'%'",
        undo=[f"REVOKE ALL ON elsewhere.* FROM {vault.settings.db_user}@'%'", "DROP DATABASE elsewhere"],
    ):
        with pytest.raises(WouldOrphan, match=r"rows of elsewhere\.rooms"):
            vault.restore("departments", id=id)
        assert mysql.rows(admin, "SELECT * FROM elsewhere.rooms") == [{"id": 1, "department": 9}]
        mysql.run(admin, "DELETE FROM elsewhere.rooms")
        assert vault.restore("departments", id=id) == {"departments": (0, 0, 1, 3)}


def test_a_foreign_key_of_several_columns_that_cascades_is_refused_in_words(vault: Vault, admin: Connection) -> None:
    vault.family()
    id = vault.back_up("hired_employees")
    vault.run("DELETE FROM hired_employees WHERE id = 1")
    before = vault.state()
    with (
        altered(
            admin,
            "ALTER TABLE hired_employees ADD UNIQUE place (id, department_id)",
            "CREATE TABLE rooms (employee INT, department INT, CONSTRAINT room FOREIGN KEY (employee, department)"
            " REFERENCES hired_employees (id, department_id) ON DELETE CASCADE)",
            undo=["DROP TABLE rooms", "ALTER TABLE hired_employees DROP INDEX place"],
        ),
        pytest.raises(SchemaDiffers, match="rows of rooms by the foreign key room"),
    ):
        vault.restore("hired_employees", id=id)
    assert vault.state() == before


@pytest.mark.parametrize("unique", [False, True])
def test_a_child_that_comes_while_its_parent_is_being_deleted_is_never_deleted_with_it(
    vault: Vault, admin: Connection, unique: bool
) -> None:
    vault.family()
    id = vault.back_up()
    undo = [*RESTRICT, *([DROP_UNIQUE] if unique else [])]
    outcomes = set()
    with altered(admin, *CASCADE, *([UNIQUE_NAMES] if unique else []), undo=undo):
        for moment in range(40):
            vault.run("INSERT IGNORE INTO departments VALUES (9, 'New')")
            restored, came = _restored_while_a_child_comes(vault, id, moment)
            outcomes.add((restored, came, b"99" in [row["id"] for row in vault.rows("hired_employees")]))
            vault.run("DELETE FROM hired_employees WHERE id = 99")
    assert outcomes == {("refused", True, True), ("restored", False, False)}


def _restored_while_a_child_comes(vault: Vault, id: str, moment: int) -> tuple[str, bool]:
    """What became of a restore at whose tick somebody inserts a child of a row that is to go, and of that child."""
    ticks, came = 0, False

    def tick() -> None:
        nonlocal ticks, came
        ticks += 1
        if ticks == moment:
            with mysql.session(vault.settings) as other:
                mysql.run(other, "SET SESSION innodb_lock_wait_timeout = 1")
                with suppress(Contention, mysql.BreaksConstraint):  # it waits for the restore, or its parent has gone
                    mysql.run(other, "INSERT INTO hired_employees VALUES (99, 'Ada', '2030-01-01', 9, 1)")
                    came = True

    order = Order(("departments",), id=id)
    job = vault.begin_restore(order)
    with mysql.session(vault.settings) as conn:
        try:
            restore.restore(conn, vault.bucket, order, job, tick)
        except WouldOrphan:
            vault.run(f"UPDATE rowferry_jobs SET status = 'failed' WHERE id = '{job}'")
            return "refused", came
    return "restored", came


def test_tables_without_transactions_are_neither_backed_up_nor_restored_into(vault: Vault, admin: Connection) -> None:
    vault.family()
    id = vault.back_up("departments")
    with (
        altered(
            admin,
            "CREATE TABLE departments_then (id INT NOT NULL PRIMARY KEY, name TEXT NOT NULL) ENGINE = MyISAM",
            undo=["DROP TABLE departments_then"],
        ),
        pytest.raises(SchemaDiffers, match="MyISAM"),
    ):
        vault.restore("departments", id=id, into="departments_then")
    engines = [
        "ALTER TABLE hired_employees DROP FOREIGN KEY hired_employees_job_id",
        "ALTER TABLE jobs ENGINE = MyISAM",
    ]
    undo = [
        "ALTER TABLE jobs ENGINE = InnoDB",
        "ALTER TABLE hired_employees ADD CONSTRAINT hired_employees_job_id FOREIGN KEY (job_id) REFERENCES jobs (id)",
    ]
    with altered(admin, *engines, undo=undo), pytest.raises(RowferryError, match="MyISAM"):
        vault.back_up("jobs")
