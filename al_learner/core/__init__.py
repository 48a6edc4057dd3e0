"""The learner itself, without a face: the command line, the worker and notebooks stand on it.

Directly in this folder are the façade `Project`, `Learner`, and what every part may use: errors, events, the interfaces
of plug-ins and their registry. Everything else has a folder by subject. Nothing here prints, reads arguments or knows a
terminal.
"""
