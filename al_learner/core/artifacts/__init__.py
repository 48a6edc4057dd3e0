"""The stored objects, vectorizers and classifiers, as bytes.

Here live: pickling and its checks, signatures, which stored models can be trusted, and export to a file. Nothing here
trains or decides; whoever wants a stored object loaded goes through `trusted_models`.
"""
