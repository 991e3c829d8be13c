"""Views for Tableau, Power BI and any MySQL client: read-only, with the rights of whoever reads them."""

from rowferry.declare.catalog import TABLES
from rowferry.storage import mysql
from rowferry.storage.mysql import Connection

_HIRES = """
  SELECT YEAR(e.`datetime`) AS `year`, QUARTER(e.`datetime`) AS `quarter`, d.`id` AS department_id,
    d.`name` AS department, j.`id` AS job_id, j.`name` AS job, COUNT(*) AS hired
  FROM hired_employees e JOIN departments d ON d.`id` = e.department_id JOIN jobs j ON j.`id` = e.job_id
  GROUP BY `year`, `quarter`, d.`id`, j.`id`
"""
_ABOVE_MEAN = """
  SELECT h.`year`, h.department_id, d.`name` AS department, h.hired, m.mean
  FROM (
    SELECT YEAR(e.`datetime`) AS `year`, e.department_id, COUNT(*) AS hired
    FROM hired_employees e GROUP BY `year`, e.department_id
  ) h
  JOIN (
    SELECT YEAR(e.`datetime`) AS `year`, COUNT(*) / (SELECT COUNT(*) FROM departments) AS mean
    FROM hired_employees e GROUP BY `year`
  ) m ON m.`year` = h.`year`
  JOIN departments d ON d.`id` = h.department_id
  WHERE h.hired > m.mean
"""
_RUNS = """
  SELECT r.id AS run_id, CONVERT(r.object_key USING utf8mb4) AS object_key, r.table_name, r.kind, r.status, r.stage,
    IF(r.status IN ('refused', 'gated', 'superseded', 'checked'), r.verdict_code, NULL) AS code,
    r.reason, r.started_at, r.finished_at,
    TIMESTAMPDIFF(MICROSECOND, r.started_at, r.finished_at) / 1000000 AS seconds,
    r.records AS records_read, COALESCE(b.inserted, 0) AS inserted, COALESCE(b.updated, 0) AS updated,
    COALESCE(b.unchanged, 0) AS unchanged, COALESCE(b.rejected, 0) AS rejected, COALESCE(b.withheld, 0) AS withheld
  FROM rowferry_runs r LEFT JOIN (
    SELECT run_id, SUM(inserted) AS inserted, SUM(updated) AS updated, SUM(unchanged) AS unchanged,
      SUM(rejected) AS rejected, SUM(withheld) AS withheld
    FROM rowferry_batches GROUP BY run_id
  ) b ON b.run_id = r.id
"""
_REJECTS = """
  SELECT r.id AS run_id, r.table_name, r.started_at, c.code,
    CAST(JSON_EXTRACT(r.report, CONCAT('$.rejected_by_code.', JSON_QUOTE(c.code))) AS UNSIGNED) AS rejected
  FROM rowferry_runs r JOIN JSON_TABLE(
    JSON_KEYS(r.report, '$.rejected_by_code'), '$[*]' COLUMNS (code VARCHAR(64) PATH '$')
  ) c
"""
VIEWS = {
    "v_hires_by_quarter": _HIRES,
    "v_departments_above_mean": _ABOVE_MEAN,
    "v_migration_runs": _RUNS,
    "v_rejects_by_code": _REJECTS,
}
_READ = {
    "v_hires_by_quarter": {"hired_employees", "departments", "jobs"},
    "v_departments_above_mean": {"hired_employees", "departments"},
}
"""The declared tables that a view reads: a deployment without these tables gets no such view."""


def create(conn: Connection) -> None:
    """Makes or replaces the views. Safe to repeat."""
    for name, query in VIEWS.items():
        if _READ.get(name, set()) <= set(TABLES):
            mysql.run(conn, f"CREATE OR REPLACE SQL SECURITY INVOKER VIEW {name} AS {query}")
