"""One file per verb. A verb takes what was typed, calls a library, and prints a table or JSON."""
