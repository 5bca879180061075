"""Scenario files that ship with the program; `fabric-sim scenarios` lists them."""
