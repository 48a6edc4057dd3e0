"""Sources of word vectors, one package a module."""
