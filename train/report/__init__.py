"""The results of a run as one page, `report.html`, which needs no other file."""
