"""One module for each parser that meets what other people send."""
