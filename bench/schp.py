"""`python -m bench.schp [--device cuda]`: measures SCHP in the models' environment; a scenario of `make bench` too."""

from bench.figures import Section
from bench.models_environment import print_measured


def _on_cpu() -> Section:
    from bench.schp_cpu import measure_cpu  # noqa: PLC0415 - needs torch, which the environment of `make bench` lacks

    return measure_cpu()


def _on_cuda() -> Section:
    from bench.schp_cuda import measure_cuda  # noqa: PLC0415 - a bare machine has no OpenCV

    return measure_cuda()


if __name__ == "__main__":
    print_measured("bench.schp", {"cpu": _on_cpu, "cuda": _on_cuda})
