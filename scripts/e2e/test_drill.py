"""The drill of scripts/drill, each fault once."""

from lab import drill
from lab.order import alone
from lab.process import Failure

# What a machine that is busy otherwise may lose of itself: that nothing is lost is for scripts/drill to say, on a quiet one.
MOST = 0.1


@alone
def test_every_fault_costs_what_it_touches_alone(picture):
    failed = drill.drill(picture, most=MOST)
    if failed:
        raise Failure(f"these cost more: {', '.join(failed)}")
