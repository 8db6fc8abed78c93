"""From the bytes of an image file to the pixels of a record; `render.render` does it all."""
