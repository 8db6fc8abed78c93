"""How well what `train` makes reads: sets that others have published results on, and real ones."""
