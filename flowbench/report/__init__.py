"""A suite's report: one tidy frame of all values, what it allows to conclude, and the pages that show it.

Three layers, each importing only from those behind it in this list: ``views``, ``judgement``, ``frame``. `views.page`
writes a report.
"""
