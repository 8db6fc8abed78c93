"""The usual ways to convert images, a command each, and the work that all of them do."""
