"""Measures what annotators feel: the seconds from their votes to a better classifier. See README.md."""
