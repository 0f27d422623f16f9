"""Background work: each mover is a coroutine that does a bounded step and can be killed at any point."""
