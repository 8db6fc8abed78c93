"""The model that is trained: network, loss, metrics, optimizer; `build.build_compiled` makes it."""
