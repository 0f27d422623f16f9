"""The tests, by room; `tests.<room>.<module>` imports what they share."""
