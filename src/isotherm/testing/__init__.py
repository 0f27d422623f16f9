"""What users of Isotherm may test with: conformance suites of the ports, a checker of histories, a server to talk to."""
