"""The texts of a project, as training reads them: by position, counted in parts, and as features.

Nothing here fits a vectorizer or a classifier.
"""
