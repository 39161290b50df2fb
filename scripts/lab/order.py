"""Which tests of scripts/e2e run beside others, and when they begin."""


def alone(test):
    """It measures or counts on time of its own: it runs when all others are done, with none beside it."""
    test.alone = True
    return test


def first(test):
    """It waits for long: it begins before others, which run meanwhile."""
    test.first = True
    return test


def is_alone(test):
    return getattr(test, "alone", False)


def is_first(test):
    return getattr(test, "first", False)
