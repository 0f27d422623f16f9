"""Erasure with proof: a tenant that is being erased, what is removed of it, and the certificate that says so."""
