"""Vectorizers, one strategy a module."""
