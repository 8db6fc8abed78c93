"""`train export`: a run's network in the formats that others serve."""
