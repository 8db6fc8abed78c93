"""Networks that read a fixed number of characters, by name or from a module of the user's.

Only layers that come with Keras are used, so a saved model loads, in safe mode, where this package
is not installed.
"""
