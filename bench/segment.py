"""`python -m bench.segment`: measures clicks and removed backgrounds; in `make bench` too."""

from bench.models_environment import print_measured
from bench.segment_clicks import measure_segment

if __name__ == "__main__":
    print_measured("bench.segment", {"this": measure_segment})
