"""The stored classifiers, as a person works with them.

Here live: the catalogue (list, show, predict, export, prune), the comparison of two classifiers, and the advice whether
to go on labelling. Nothing here trains or announces.
"""
