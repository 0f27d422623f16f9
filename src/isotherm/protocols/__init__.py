"""Open protocols: codecs and error tables, no semantics. None of them knows another."""
