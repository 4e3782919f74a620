"""What a person at the terminal can act on."""


class CannotRun(Exception):
    """The command cannot run like this; the message says what to do. Shown as one line, not as a stack trace."""
