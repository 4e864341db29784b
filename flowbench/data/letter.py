"""Letter recognition: pictures of capital letters in twenty fonts (Frey and Slate 1991; UCI 59)."""

from flowbench.data._uci import UciTable


class Letter(UciTable):
    """Sixteen measures of a letter's picture, whole numbers from 0 to 15: 20,000 rows."""

    openml = 6
    columns = 16
    classes = 26
    whole = True
    fingerprint = "81bb70144aa4327b17ba875d02a4c9d5c2396692f4553a25bdcb6f4e3018dab3"


source = Letter
