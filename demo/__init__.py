"""The demonstration: a program that uses Isotherm from outside, as anybody's would. Started by `make demo`."""
