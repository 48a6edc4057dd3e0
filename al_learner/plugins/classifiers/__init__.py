"""Classifiers, one strategy a module."""
