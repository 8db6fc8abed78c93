"""The folder of a run: `folder.RunFolder`, what is in it, and how it is opened."""
