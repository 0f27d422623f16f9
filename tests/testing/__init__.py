"""The published testing tools, tested themselves."""
