"""A finished dataset: records (`record`), description (`info`), and how it is read (`read`)."""
