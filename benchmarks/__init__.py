"""Measures the seconds from the votes of annotators to a better classifier. See README.md."""
