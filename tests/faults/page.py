"""`docs/faults.md`, made of the rows that the tests run: `python -m tests.faults.page`."""

from collections.abc import Iterator
from pathlib import Path

from tests.faults.rows import ROWS, SESSION_ROWS
from tests.faults.rows_session import TITLE
from tests.faults.table import markdown, table

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"

HEAD = """\
# When a provider fails: what the caller notices, and what is on the record

Every row is a test: a whole call, over real sockets, against a stand-in for the provider that fails so once the call has
begun (`tests/faults`). The caller says something, the fault strikes, the answer is heard or shown; then the provider works
again, and the caller says something else. Afterwards no connection and no task is left. [Providers](providers.md) has the
rules behind this.

* **The caller notices.** *The next in line* is what the agent falls back to; of voices the last is always the offline one.
  *The apology* is the agent's own text. The call goes on in every row; it ends, with reason `provider_failed`, after as
  many failures in a row as the agent allows.
* **Silence, at most.** Before it, or in its middle, on top of what the stages take anyway. The patience for a first part is 5 s for an answer, 4 s
  for a transcript and 3 s for a voice; between parts it is 5, 4 and 3 s; the budget for all that is tried is 9, 8 and 5 s.
* **On the record.** The requests of that stage and turn in order, each with its outcome; *id*: with the provider's own id of
  the request or session; *estimated*: the provider never said what was used, so it was guessed; *next*, *last*: a request to
  the next in line, or to the last resort. Then the error of the turn, if it has one.
* **The turn after.** Who serves it. The next in line serves it where the first choice is left alone for a while: after a
  fault that only a person can mend, and after three failures in a row.

<!-- The rest is made of the tests' rows by `python -m tests.faults.page`. -->
"""


def page() -> Iterator[str]:
    yield HEAD
    yield from markdown(ROWS)
    yield from table(TITLE, [row.cells() for row in SESSION_ROWS])


def text() -> str:
    return "\n".join(page()).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(text())
