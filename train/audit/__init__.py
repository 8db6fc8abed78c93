"""Finding wrong labels: every record of a dataset judged by how little the model believes it."""
