"""The audit log: what was done to tenants and keys, by whom, chained per tenant so that no change of it goes unseen."""
