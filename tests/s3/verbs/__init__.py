"""Verbs against a real store, without a connection: a request goes in at the router and a reply comes out."""
