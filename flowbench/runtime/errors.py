"""The errors that a user can mend."""


class ExpectedError(RuntimeError):
    """Something went wrong that is no defect of the program. A stage shows the message and no traceback.

    The message names the place, the value and the nearest right choice.
    """
