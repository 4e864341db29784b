"""What the tests of pages share: made-up cells, and how a page and a table of values are read."""

import csv
from html.parser import HTMLParser

CELLS = {
    "gaussian-affine": ("gaussian", "affine"),
    "moons-nice": ("moons", "nice"),
    "moons-realnvp": ("moons", "realnvp"),
    "moons-gaussian": ("moons", "gaussian"),
    "digits-maf": ("digits", "maf"),
    "two_modes-planar": ("two_modes", "planar"),
}


class Page(HTMLParser):
    """The text of an HTML page by table row, its elements, and every address in it."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.rows, self.text, self.in_cell = set(), [], [], [], False
        self.titles, self.title = {}, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.in_cell, self.title = True, dict(attributes).get("title")

    def handle_endtag(self, tag):
        self.in_cell &= tag not in ("td", "th")

    def handle_data(self, data):
        self.text.append(data)
        if self.in_cell:
            self.rows[-1][-1] += data
            if self.title:
                self.titles.setdefault(data, self.title)  # float32 comes first

    def row(self, name):
        return next(row for row in self.rows if row and row[0].startswith(name))


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
