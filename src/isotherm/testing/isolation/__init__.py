"""`isotherm selftest isolation`: a suite that tries to break out of a tenant of a running server, and must be refused.

    with staged(Target(s3_url, admin_url, clock), root, ids) as stage:
        report = run(stage, all_probes())

It needs a server, and a credential of its root's admin; it makes throw-away tenants, and removes them. A probe is something an
attacker would try (probe.py); each protocol has its own (of_s3.py, of_admin.py, …), and registry.py names them all: an architecture test fails for
a protocol, an operation of the administrative API or a route of S3 without one.
"""
