"""Options of the tests."""

import gc

import lambdas

# The functions look for garbage seldom, so that they start faster; tests want it found where it was made.
assert lambdas
gc.set_threshold(700, 10, 10)


def pytest_addoption(parser) -> None:
    parser.addoption("--crash-runs", type=int, default=3, help="how many workers are killed at each point of a step")
    parser.addoption("--model-jobs", type=int, default=30, help="how many tasks of body-masks are mixed and disturbed")
    parser.addoption("--gpu-crash-runs", type=int, default=10, help="how many tasks of the GPU lane are disturbed")
