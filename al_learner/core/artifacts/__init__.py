"""The stored objects, vectorizers and classifiers, as bytes.

Here live: pickling and its checks, signatures, which stored models can be trusted, and export to a file. Nothing here
trains or decides. Stored objects are loaded only through `trusted_models`.
"""
