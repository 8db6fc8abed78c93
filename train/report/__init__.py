"""What a run came to, as one page: `report.html`, which needs nothing but itself."""
