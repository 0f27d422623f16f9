"""What users of Isotherm may test with: conformance suites of the ports, faulty devices, a server to talk to."""
