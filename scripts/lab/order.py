"""Which tests of scripts/e2e run beside others."""


def alone(test):
    """It measures or counts on time of its own: it runs when all others are done, with none beside it."""
    test.alone = True
    return test


def is_alone(test):
    return getattr(test, "alone", False)
