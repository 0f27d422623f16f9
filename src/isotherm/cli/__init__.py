"""The command line: thin commands over a store or a server. Nothing below knows it."""
