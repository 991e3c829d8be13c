"""Twenty files at once over three tables with references between them; `make load` is the long form."""

from rowferry.setup.bootstrap import APP_CONNECTIONS
from tests.chaos.load import watched
from tests.support.stack_client import World, counts

ROWS = 400
CHILDREN = 16
PARENTS = 200


def parents(first: int) -> str:
    return "".join(f"{i},Name {i}\n" for i in range(first, first + PARENTS))


def children(file: int) -> str:
    """Each file overlaps half of the one before it, and refers to parents of both files."""
    begin = file * ROWS // 2 + 1
    line = "{},Of file {},2021-07-27T16:02:08Z,{},{}\n"
    return "".join(
        line.format(i, file, i % (2 * PARENTS) + 1, i * 7 % (2 * PARENTS) + 1) for i in range(begin, begin + ROWS)
    )


def test_twenty_files_at_once_all_load_and_none_waits_for_ever(world: World) -> None:
    bodies = {f"raw/hired_employees/{n:02}.csv": children(n) for n in range(CHILDREN)}
    bodies |= {f"raw/{name}/{n}.csv": parents(n * PARENTS + 1) for name in ("departments", "jobs") for n in range(2)}
    with watched(world) as watch:
        versions = {key: world.upload(key, body) for key, body in bodies.items()}
        reports = {key: world.report(version) for key, version in versions.items()}
    assert len(reports) == 20
    for key, report in reports.items():
        size = bodies[key].count("\n")
        assert counts(report)[0] == size
        assert counts(report)[-1] == 0, f"{key} has orphans: {report}"
    written = sum(report["inserted"] for key, report in reports.items() if "hired" in key)
    assert written == (CHILDREN + 1) * ROWS // 2
    for name in ("departments", "jobs"):
        assert world.rows(f"SELECT COUNT(*) FROM {name}") == [(2 * PARENTS,)]
    by_order = sorted((report["finished_at"], int(key[-6:-4])) for key, report in reports.items() if "hired" in key)
    rows: dict[int, str] = dict(world.rows("SELECT id, name FROM hired_employees"))
    owners = {i: file for _, file in by_order for i in range(file * ROWS // 2 + 1, file * ROWS // 2 + 1 + ROWS)}
    assert rows == {i: f"Of file {file}" for i, file in owners.items()}, "as if one file came after the other"
    assert watch.connections <= APP_CONNECTIONS
    assert world.keys("raw/") == []
