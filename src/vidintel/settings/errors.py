"""Errors that the user at the terminal can fix."""


class CannotRun(Exception):
    """The command cannot run; the message says what to do. It is shown as one line, not as a stack trace."""
