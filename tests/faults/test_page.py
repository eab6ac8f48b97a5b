"""The page on faults says what the rows say."""

from tests.faults.page import PAGE, text
from tests.faults.rows import ROWS, SESSION_ROWS


def test_the_page_is_that_of_the_rows() -> None:
    assert PAGE.read_text() == text(), "run: python -m tests.faults.page"


def test_no_two_rows_are_the_same() -> None:
    names = [str(row) for row in (*ROWS, *SESSION_ROWS)]
    assert len(set(names)) == len(names)
