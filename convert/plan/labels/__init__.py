"""Labels: from the manifest's columns to class indices."""
