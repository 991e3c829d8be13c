"""Files as other programs write them, and what becomes of each: the source of docs/files-of-other-programs.md.

`python -m tests.support.files_of_programs` writes the page.
"""

import codecs
import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs/files-of-other-programs.md"

SALES, SIZE = "1\tSales", "2\tGröße, Maß"
HIRED = "1\tAnn\t2021-03-01 09:00:00\t1\t2"
HIRED_HEAD = "id,name,datetime,department_id,job_id\n"


@dataclass(frozen=True)
class Case:
    """One file, uploaded with the options that `rowferry load` and `check` have.

    `rows`: what would be stored, in normal form. `codes`: those of the rejects, in the order of lines. `refused`: the
    code of the whole file, `words` some of the message. `plain`: what becomes of it without the options, if anything
    is to be shown. `advice`: what to do in the program.
    """

    program: str
    writes: str
    body: bytes
    rows: tuple[str, ...] = (SALES, SIZE)
    options: Mapping[str, Any] = field(default_factory=dict)
    codes: tuple[str, ...] = ()
    refused: str = ""
    words: str = ""
    plain: str = ""
    advice: str = ""
    table: str = "departments"
    name: str = ".csv"

    @property
    def outcome(self) -> str:
        if self.refused:
            return f"refused: `{self.refused}`"
        rejects = f"{len(self.codes)} rejected: `{'`, `'.join(dict.fromkeys(self.codes))}`" if self.codes else ""
        loaded = "loaded" if self.rows else ""
        return ", ".join(filter(None, (loaded, rejects)))

    @property
    def to_do(self) -> str:
        used = " ".join(_shown(name, value) for name, value in self.options.items())
        without = f" (without them: `{self.plain}`)" if self.plain else ""
        return "; ".join(filter(None, (self.advice, f"`{used}`{without}" if used else ""))) or "nothing"


def _shown(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    words = value if isinstance(value, list) else [value]
    return " ".join(f"--{name.replace('_', '-')} {_SPELT.get(word, word)}" for word in words)


_SPELT = {"\t": "tab", "\\": "'\\'", '"': "'\"'", "|": "'|'", ";": "';'", "\\N": "'\\N'"}


def plain(text: str, encoding: str = "utf-8") -> bytes:
    return text.encode(encoding)


def windows(text: str, encoding: str = "utf-8") -> bytes:
    """With CRLF at the end of each line."""
    return text.replace("\n", "\r\n").encode(encoding)


def hired(moment: str, **also: Any) -> dict[str, Any]:
    return {"table": "hired_employees", "body": plain(f"{HIRED_HEAD}1,Ann,{moment},1,2\n"), "rows": (HIRED,), **also}


QUOTED = '"id","name"\n"1","Sales"\n"2","Größe, Maß"\n'
PLAIN = 'id,name\n1,Sales\n2,"Größe, Maß"\n'
SEMICOLONS = "id;name\n1;Sales\n2;Größe, Maß\n"
TABS = "id\tname\n1\tSales\n2\tGröße, Maß\n"
BACKSLASHES = {"delimiter": "\t", "quote": "none", "escape": "\\", "null": ["\\N"]}
ESCAPED_QUOTES = {"delimiter": ",", "quote": '"', "escape": "\\"}

CASES = (
    # --- Python and R ------------------------------------------------------------------------------------------------
    Case("Python `csv.writer`", "commas, CRLF", windows(PLAIN)),
    Case("pandas `to_csv(index=False)`", "commas, LF", plain(PLAIN)),
    Case(
        "pandas `to_csv()`",
        "a first column without a name: the index",
        plain(',id,name\n0,1,Sales\n1,2,"Größe, Maß"\n'),
        rows=(),
        codes=("field_count", "field_count"),
        advice="write with `index=False`",
    ),
    Case("pandas `to_csv(sep='\\t')`", "tabs", plain(TABS)),
    Case(
        "pandas `to_csv(quoting=csv.QUOTE_NONNUMERIC)`",
        "texts in quotes",
        plain('"id","name"\n1,"Sales"\n2,"Größe, Maß"\n'),
    ),
    Case(
        "pandas, whole numbers with one missing",
        "`1.0`",
        plain('id,name\n1.0,Sales\n2.0,"Größe, Maß"\n,Lost\n'),
        codes=("missing",),
    ),
    Case(
        "pandas `to_csv(na_rep='NULL')`",
        "a word for a missing text",
        plain("id,name\n1,Sales\n3,NULL\n"),
        rows=(SALES,),
        options={"null": ["NULL"]},
        codes=("missing",),
    ),
    Case("pandas `to_csv(compression='gzip')`", "gzip, named `.csv.gz`", gzip.compress(plain(PLAIN)), name=".csv.gz"),
    Case("pandas, moments with a time zone", "`2021-03-01 10:00:00+01:00`", **hired("2021-03-01 10:00:00+01:00")),
    Case(
        "polars `write_csv`", "moments with six digits of a second, `T` between", **hired("2021-03-01T09:00:00.000000")
    ),
    Case("polars `write_csv(quote_style='always')`", "each field in quotes", plain(QUOTED)),
    Case(
        "R `write.csv(row.names=FALSE)`", "texts and names in quotes", plain('"id","name"\n1,"Sales"\n2,"Größe, Maß"\n')
    ),
    Case(
        "R `write.csv`",
        "a first column without a name: the rows' names",
        plain('"","id","name"\n"1",1,"Sales"\n"2",2,"Größe, Maß"\n'),
        rows=(),
        codes=("field_count", "field_count"),
        advice="write with `row.names=FALSE`",
    ),
    Case("R `write.csv2(row.names=FALSE)`", "semicolons", plain('"id";"name"\n1;"Sales"\n2;"Größe, Maß"\n')),
    Case("jq `@csv`", "no header, texts in quotes", plain('1,"Sales"\n2,"Größe, Maß"\n')),
    # --- databases ---------------------------------------------------------------------------------------------------
    Case("DuckDB `COPY … TO 'x.csv'`", "a header, commas", plain(PLAIN)),
    Case("sqlite3 `.mode csv`, `.headers on`", "LF; some versions CRLF", plain(PLAIN)),
    Case("sqlite3 `.mode list`", "bars, no header, no quotes", plain("1|Sales\n2|Größe, Maß\n")),
    Case(
        "mysqldump `--tab`, `SELECT … INTO OUTFILE`",
        "tabs, no header, backslashes, `\\N`",
        plain("1\tSales\n2\tGröße\\\nMaß \\\\ C:\\\\new\n3\t\\N\n"),
        rows=(SALES, "2\tGröße\\nMaß \\\\ C:\\\\new"),
        options=BACKSLASHES,
        codes=("missing",),
        plain="doubtful_escape",
    ),
    Case(
        "MySQL `INTO OUTFILE … ENCLOSED BY '\"'`",
        "quotes within quotes behind a backslash",
        plain('"1","Sales"\n"2","5\\" disk, C:\\\\new"\n'),
        rows=(SALES, '2\t5" disk, C:\\\\new'),
        options=ESCAPED_QUOTES,
    ),
    Case(
        "`mysql --batch -e 'SELECT …'`",
        "tabs, a header, backslashes, the word NULL",
        plain("id\tname\n1\tSales\n2\tGröße\\tMaß\n3\tNULL\n"),
        rows=(SALES, "2\tGröße\\tMaß"),
        options={**BACKSLASHES, "null": ["NULL"]},
        codes=("missing",),
    ),
    Case(
        "phpMyAdmin, MySQL Workbench",
        "each field in quotes, NULL as a bare word",
        plain('"id","name"\n"1","Sales"\n"3",NULL\n'),
        rows=(SALES,),
        options={"null": ["NULL"]},
        codes=("missing",),
    ),
    Case("psql `\\copy … CSV HEADER`", "commas, LF, NULL as an empty field", plain(PLAIN + "3,\n"), codes=("missing",)),
    Case(
        "psql `COPY … TO` (text)",
        "tabs, no header, backslashes, `\\N`",
        plain("1\tSales\n2\tGröße\\tMaß\n3\t\\N\n"),
        rows=(SALES, "2\tGröße\\tMaß"),
        options=BACKSLASHES,
        codes=("missing",),
    ),
    Case("psql, moments of `timestamptz`", "`2021-03-01 09:00:00+00`", **hired("2021-03-01 09:00:00+00")),
    Case(
        "psql's table on the screen, saved",
        "bars, a line below the names, a count below the rows",
        plain(" id | name  \n----+-------\n  1 | Sales\n(1 row)\n"),
        rows=("1\tSales",),
        options={"trim": True},
        codes=("field_count", "field_count"),
        advice="write with `--csv`",
    ),
    Case("SQL Server `bcp -c`", "tabs, no header, CRLF", windows("1\tSales\n2\tGröße, Maß\n")),
    Case(
        "SQL Server `bcp -w`", "UTF-16 with a byte order mark, tabs", codecs.BOM_UTF16_LE + windows(TABS, "utf-16-le")
    ),
    Case(
        "SQL Server Management Studio",
        "a byte order mark, NULL as a word",
        codecs.BOM_UTF8 + windows("1,Sales\n3,NULL\n"),
        rows=(SALES,),
        options={"null": ["NULL"]},
        codes=("missing",),
    ),
    Case(
        "SQL*Plus `SET MARKUP CSV ON`",
        "names in capitals and quotes, a count below the rows",
        plain('\n"ID","NAME"\n1,"Sales"\n\n1 row selected.\n'),
        rows=(SALES,),
        codes=("field_count",),
        advice="`SET FEEDBACK OFF`",
    ),
    Case("BigQuery", "moments end in ` UTC`", **hired("2021-03-01 09:00:00 UTC")),
    Case(
        "Snowflake `COPY INTO @stage`",
        "gzip, no header, `\\N`",
        gzip.compress(plain("1,Sales\n3,\\N\n")),
        rows=(SALES,),
        options={"null": ["\\N"]},
        codes=("missing",),
        name=".csv.gz",
    ),
    Case("Athena, Trino", "each field in quotes", plain(QUOTED)),
    Case(
        "Spark `df.write.csv`",
        "quotes within quotes behind a backslash",
        plain('id,name\n1,Sales\n2,"5\\" disk, new"\n'),
        rows=(SALES, '2\t5" disk, new'),
        options=ESCAPED_QUOTES,
        plain="bad_quoting",
    ),
    Case("Spark, moments", "`2021-03-01T09:00:00.000Z`", **hired("2021-03-01T09:00:00.000Z")),
    Case("Redshift `UNLOAD`", "bars, no header", plain("1|Sales\n2|Größe, Maß\n")),
    Case("MongoDB `mongoexport --type=csv`", "commas, LF", plain(PLAIN)),
    # --- spreadsheets ------------------------------------------------------------------------------------------------
    Case('Excel "CSV UTF-8"', "a byte order mark, CRLF", codecs.BOM_UTF8 + windows(PLAIN)),
    Case('Excel "CSV UTF-8", a German system', "semicolons", codecs.BOM_UTF8 + windows(SEMICOLONS)),
    Case(
        'Excel "CSV", a German system',
        "cp1252, semicolons",
        windows(SEMICOLONS, "cp1252"),
        options={"encoding": "cp1252"},
        plain="not_utf8",
        advice='save as "CSV UTF-8"',
    ),
    Case(
        'Excel "Text (MS-DOS)"',
        "cp850, tabs",
        windows(TABS, "cp850"),
        options={"encoding": "cp850"},
        plain="not_utf8",
        advice='save as "CSV UTF-8"',
    ),
    Case(
        'Excel "Unicode Text"', "UTF-16 with a byte order mark, tabs", codecs.BOM_UTF16_LE + windows(TABS, "utf-16-le")
    ),
    Case(
        'Excel "CSV (Macintosh)"',
        "a carriage return alone at each line's end",
        plain(PLAIN.replace("\n", "\r").replace("ö", "o").replace("ß", "ss")),
        rows=(),
        refused="line_end",
        words="carriage return",
        advice='save as "CSV UTF-8"',
    ),
    Case("Excel, `sep=;` for a double click", "the delimiter above the header", windows("sep=;\n" + SEMICOLONS)),
    Case(
        "Excel, cells that were used once",
        "empty columns and rows",
        windows('id,name,,\n1,Sales,,\n,,,\n2,"Größe, Maß",,\n,,,\n'),
    ),
    Case(
        "Excel, a title above the table",
        "a line above the header",
        windows("Departments,\nid,name\n1,Sales\n"),
        rows=(),
        refused="header",
        words="line 2 names the columns, but line 1 stands before it",
        advice="delete the line, or `--skip-lines 1`",
    ),
    Case(
        "Excel, long numbers",
        "`1.23E+11`: digits are lost",
        windows("id,name\n1,Sales\n1.23E+11,Lost\n"),
        rows=(SALES,),
        codes=("int_format",),
        advice="give the cells the format Number, and export again from the source",
    ),
    Case(
        "Excel, moments of a German system",
        "`01.03.2021 09:00`",
        **hired(
            "01.03.2021 09:00",
            rows=(),
            codes=("datetime_format",),
            advice='declare `Timestamp(format="%d.%m.%Y %H:%M")`, or give the cells the format `yyyy-mm-dd hh:mm:ss`',
        ),
    ),
    Case(
        "Excel, a workbook named .csv",
        "a zip archive",
        b"PK\x03\x04\x14\0\x06\0[Content_Types].xml",
        rows=(),
        refused="excel",
        words="save it as CSV UTF-8",
        advice='save as "CSV UTF-8"',
    ),
    Case(
        "Excel 97, a workbook named .csv",
        "an OLE file",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(64),
        rows=(),
        refused="excel",
        words="save it as CSV UTF-8",
        advice='save as "CSV UTF-8"',
    ),
    Case("LibreOffice", "commas, LF, texts in quotes if asked for", plain('"id","name"\n1,"Sales"\n2,"Größe, Maß"\n')),
    Case(
        'LibreOffice, "Western Europe"',
        "cp1252",
        plain(PLAIN, "cp1252"),
        options={"encoding": "cp1252"},
        plain="not_utf8",
        advice="choose Unicode (UTF-8)",
    ),
    Case("Google Sheets", "CRLF, no line end behind the last row", windows(PLAIN).removesuffix(b"\r\n")),
    Case(
        "Google Sheets, signed out",
        "a page of HTML",
        b"<!DOCTYPE html>\n<html><body>Sign in</body></html>\n",
        rows=(),
        refused="html",
        words="perhaps an error page",
        advice="download again, signed in",
    ),
    Case("Apple Numbers, a German system", "semicolons", plain(SEMICOLONS)),
    Case("xlsx2csv", "commas, LF", plain(PLAIN)),
    # --- Windows, business software ----------------------------------------------------------------------------------
    Case(
        "PowerShell 5 `Export-Csv`",
        "a line `#TYPE` above the header",
        windows('#TYPE System.Management.Automation.PSCustomObject\n"id","name"\n"1","Sales"\n'),
        rows=(SALES,),
        options={"skip_lines": 1},
        plain="header",
        advice="write with `-NoTypeInformation`",
    ),
    Case(
        "PowerShell 5 `Export-Csv -NoTypeInformation`",
        "ASCII: `?` for each letter that is none",
        windows('"id","name"\n"2","Gr??e, Ma?"\n'),
        rows=("2\tGr??e, Ma?",),
        advice="write with `-Encoding UTF8`: the letters are lost in the file",
    ),
    Case(
        "PowerShell 5 `Export-Csv -Encoding Unicode`",
        "UTF-16 with a byte order mark",
        codecs.BOM_UTF16_LE + windows(QUOTED, "utf-16-le"),
    ),
    Case("PowerShell 7 `Export-Csv`", "UTF-8, each field in quotes", windows(QUOTED)),
    Case(
        "Windows `copy a.csv+b.csv`",
        "0x1A at the end, a second header and byte order mark",
        codecs.BOM_UTF8
        + windows("id,name\n1,Sales\n")
        + codecs.BOM_UTF8
        + windows('id,name\n2,"Größe, Maß"\n')
        + b"\x1a",
        codes=("header_again",),
    ),
    Case(
        "SAP, a download", "semicolons, an empty column behind the last", windows("id;name;\n1;Sales;\n2;Größe, Maß;\n")
    ),
    Case(
        "SAP, moments",
        "`01.03.2021`",
        **hired("01.03.2021", rows=(), codes=("datetime_format",), advice='declare `Timestamp(format="%d.%m.%Y")`'),
    ),
    Case(
        "SAS `PROC EXPORT`, moments",
        "`01MAR21:09:00:00`",
        **hired(
            "01MAR21:09:00:00", rows=(), codes=("datetime_format",), advice="give the variable the format `E8601DT19.`"
        ),
    ),
    Case(
        "Salesforce Data Loader",
        "each field in quotes, names in capitals",
        plain(QUOTED.replace("id", "ID").replace("name", "NAME")),
    ),
    Case("Salesforce, moments", "`2021-03-01T09:00:00.000+0000`", **hired("2021-03-01T09:00:00.000+0000")),
    Case(
        "Metabase, moments at midnight",
        "`2021-03-01`",
        **hired("2021-03-01", rows=(), codes=("datetime_format",), advice="declare `Timestamp(date_only=True)`"),
    ),
    Case(
        "Access",
        "cp1252, semicolons, texts in quotes, no header",
        windows('1;"Sales"\n2;"Größe, Maß"\n', "cp1252"),
        options={"encoding": "cp1252"},
        plain="not_utf8",
    ),
    Case(
        "Names in the language of the program",
        "other names of the columns",
        plain("Nr;Bezeichnung;Leiter\n1;Sales;Ann\n2;Größe, Maß;Bo\n"),
        options={"name": ["Nr=id", "Bezeichnung=name"], "extra": "ignore"},
        plain="field_count",
    ),
)

HEAD = """# Files of other programs

What becomes of a file as each program writes it, here for the tables `departments` and `hired_employees`. The options
are those of `rowferry load` and `rowferry check`; `csv=CsvFormat(...)` of a table's class says the same for all of its
files, and an upload's S3 metadata for one (docs/command-line.md, docs/data-contract.md). A reject does not stop a file.

The files are written down from what each program is known to write; the programs do not run in the tests. Those of
pandas, polars, DuckDB, sqlite3 and jq were compared with what these programs wrote on 2026-12-01.
`tests/unit/cli/test_files_of_programs.py` reads each of them; `python -m tests.support.files_of_programs` writes this
page.

| program | it writes | becomes | what to do |
|---|---|---|---|
"""


def page() -> str:
    rows = ((case.program, case.writes, case.outcome, case.to_do) for case in CASES)
    return HEAD + "".join(f"| {' | '.join(part.replace('|', chr(92) + '|') for part in row)} |\n" for row in rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
