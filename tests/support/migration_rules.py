"""Which statements of a migration would hold up everybody who uses a table that is already there."""

import re
from collections.abc import Iterator

_NAME = r'"?(?P<table>\w+)"?'
_CREATES = re.compile(rf"CREATE TABLE (?:IF NOT EXISTS )?{_NAME}", re.IGNORECASE)
_CONSTANT = r"DEFAULT\s+(?:'[^']*'(?:::\w+(?:\[\])?)?|-?\d+(?:\.\d+)?|true|false|NULL)\s*(?:NOT NULL)?\s*$"

_RULES: tuple[tuple[str, str], ...] = (
    ("builds an index while nobody can write", rf"CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)(?:.*?) ON {_NAME}"),
    ("waits for everybody to remove an index", r"DROP INDEX (?!CONCURRENTLY)(?:IF EXISTS )?(?P<index>\w+)"),
    ("needs a value that old rows do not have", rf"ALTER TABLE {_NAME} ADD COLUMN (?!.*DEFAULT).*NOT NULL"),
    ("may write every row anew", rf"ALTER TABLE {_NAME} ADD COLUMN (?=.*(?:DEFAULT|GENERATED))(?!.*{_CONSTANT})"),
    ("writes every row anew", rf"ALTER TABLE {_NAME} ALTER COLUMN \S+ (?:SET DATA )?TYPE"),
    ("writes every row anew", rf"ALTER TABLE {_NAME} SET (?:LOGGED|UNLOGGED|TABLESPACE|ACCESS METHOD)"),
    ("writes every row anew", rf"(?:CLUSTER|VACUUM FULL) {_NAME}"),
    ("reads every row", rf"ALTER TABLE {_NAME} ALTER COLUMN \S+ SET NOT NULL"),
    ("reads every row", rf"ALTER TABLE {_NAME} ADD (?:CONSTRAINT \S+ )?(?:CHECK|FOREIGN KEY)(?!.*NOT VALID)"),
    ("builds an index", rf"ALTER TABLE {_NAME} ADD (?:CONSTRAINT \S+ )?(?:UNIQUE|PRIMARY KEY|EXCLUDE)(?! USING INDEX)"),
    ("locks a table on purpose", rf"LOCK (?:TABLE )?{_NAME}"),
)
_RULES_COMPILED = tuple((what, re.compile(pattern, re.IGNORECASE)) for what, pattern in _RULES)


def locking_statements(sql: str) -> Iterator[tuple[str, str]]:
    """What is wrong, and the statement, for each one that is. Tables that ``sql`` itself creates are nobody's yet."""
    plain = re.sub(r"--.*", "", sql)
    statements = [" ".join(each.split()) for each in plain.split(";") if each.strip()]
    new = {found["table"].lower() for each in statements if (found := _CREATES.match(each))}
    for statement in statements:
        for what, pattern in _RULES_COMPILED:
            found = pattern.match(statement)
            if found is not None and found.groupdict().get("table", "").lower() not in new:
                yield what, statement
