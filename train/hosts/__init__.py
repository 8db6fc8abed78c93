"""Several hosts that train one run: who they are, how each is started, and how all end."""
