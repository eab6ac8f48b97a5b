"""Sites of a real server, put into its database past it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path


def make_site(var_dir: Path, slug: str, *origins: str, public: bool = True, active: bool = True):
    """A site that may call every agent, without limits."""
    columns = {
        "slug": slug,
        "name": slug.title(),
        "active": active,
        "public": public,
        "all_agents": True,
        "origins": json.dumps(origins),
    }
    names, places = ", ".join(columns), ", ".join("?" * len(columns))
    change(var_dir, f"INSERT INTO calls_site ({names}) VALUES ({places})", *columns.values())


def change(var_dir: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(var_dir / "db.sqlite3", timeout=20)) as connection:
        connection.execute(statement, values)
        connection.commit()
