"""Tenants and who acts for them: credentials, and the keys that seal them."""
