"""The one exception that the command line turns into one line and exit code 2."""


class InputError(Exception):
    """Bad input from outside: the message says which file or option, what is wrong and what to do, in one line."""
