"""Options of the tests."""


def pytest_addoption(parser) -> None:
    parser.addoption("--crash-runs", type=int, default=3, help="how many workers are killed at each point of a step")
    parser.addoption("--model-jobs", type=int, default=30, help="how many tasks of body-masks are mixed and disturbed")
