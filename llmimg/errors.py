"""The one exception a user is meant to see."""


class UserError(Exception):
    """A user's mistake, told in one or two sentences: what is wrong, where, what to do.

    The entry points print the message alone and exit with status 1; every other exception is a defect and keeps its
    traceback.
    """
