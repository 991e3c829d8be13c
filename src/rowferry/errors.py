"""What can go wrong, as a tree. Bad rows are not in it: they are data (`validate.Reject`).

RowferryError
├── Later                     it will work later: the caller tries again with backoff
│   ├── DatabaseUnavailable   no connection, lost, too many connections
│   ├── Contention            deadlock, lock timeout, a key that somebody else inserted: repeat the transaction
│   ├── ValidatorUnavailable  the validator API is down, busy, or answered nonsense
│   ├── StorageUnavailable    S3 throttled, failed or out of reach
│   └── WorkerDied            a process that Rowferry started ended before its work was done
└── Never                     trying again changes nothing
    ├── Refused               a file that can never load; `code` and a message for people
    ├── BadRequest            a caller's mistake: unknown table, a chunk too large, not CSV text
    ├── SettingError          an environment variable is missing or makes no sense
    ├── DatabaseError         SQL that the server rejects: a right missing
    │   └── NoSuchTable       a table missing
    ├── NotFound              an object, version or run that is not there
    ├── StartAgain            not by trying the step again, but when the run is started again later
    ├── BackupDamaged         what lies in S3 is not the backup that its manifest describes
    ├── OutOfTime             more than fits into a function's time; nothing was changed
    ├── Conflict              what is there now does not allow it
    │   ├── Busy              a run or a restore is at work on the table
    │   ├── SchemaDiffers     a backup's columns are not the table's
    │   └── WouldOrphan       rows would be left whose parents are gone
    └── BooksDoNotBalance     the ledger does not add up to what was read
"""


class RowferryError(Exception):
    """Any failure that Rowferry knows by name; its text is fit for people and holds no row's contents."""


class Later(RowferryError):
    """Passing: the same call will work later."""


class DatabaseUnavailable(Later):
    pass


class Contention(Later):
    pass


class ValidatorUnavailable(Later):
    pass


class StorageUnavailable(Later):
    pass


class WorkerDied(Later):
    pass


class Never(RowferryError):
    """Lasting: the same call will fail again."""


class Refused(Never):
    """A whole file that can never load.

    `code` is a stable word for programs (`unknown_table`, `not_utf8` ...); the text names line or byte.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class BadRequest(Never):
    pass


class UnknownTable(BadRequest):
    pass


class TooLarge(BadRequest):
    pass


class SettingError(Never):
    pass


class DatabaseError(Never):
    pass


class NoSuchTable(DatabaseError):
    pass


class NotFound(Never):
    pass


class StartAgain(Never):
    """Something else has to end first. The run fails; the sweep starts it again, or a person does."""


class BooksDoNotBalance(Never):
    pass


class BackupDamaged(Never):
    pass


class OutOfTime(Never):
    pass


class Conflict(Never):
    pass


class Busy(Conflict):
    pass


class SchemaDiffers(Conflict):
    pass


class WouldOrphan(Conflict):
    pass
