"""Stands between `manage.py` and Django. Standard library only: nothing is installed yet."""

import sys


def run(argv: list[str]) -> None:
    """Run the management command that `argv` names."""
    try:
        from django.core.management import execute_from_command_line
    except ImportError:
        sys.exit(
            "Django is not installed here. `python3 manage.py up` sets everything up, "
            "or: pip install -r requirements.txt"
        )
    execute_from_command_line(argv)
