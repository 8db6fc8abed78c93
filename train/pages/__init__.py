"""HTML pages that need no other file: the template, charts, pictures and numbers all share."""
