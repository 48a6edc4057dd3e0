"""The sub-commands of `al-learner`, a module each, put together by `cli`."""
