"""All rows of the fault table."""

from tests.faults import rows_http, rows_session, rows_sockets

ROWS = (*rows_http.rows(), *rows_sockets.rows())
SESSION_ROWS = (*rows_session.session_rows(),)
