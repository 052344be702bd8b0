"""The page of ``python -m reports html``; :mod:`reports.html.report` makes it."""
