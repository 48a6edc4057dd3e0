"""Data that goes in from other tools.

Here live: reading files, loading their rows into LabelForward's tables, and labelled corpora for simulations. Nothing
here knows strategies or runs.
"""
