"""What goes wrong with local models."""


class LocalModelError(Exception):
    """A model cannot be had or used; the message is one line for the operator."""
