"""Which records stand where in an epoch (`order`), and how they are read (`reader`)."""
