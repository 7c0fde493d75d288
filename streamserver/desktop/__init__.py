"""The X display, the browser on it, its sound, and the input people send: see README.md."""
