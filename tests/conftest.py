"""Options of the tests."""


def pytest_addoption(parser) -> None:
    parser.addoption("--crash-runs", type=int, default=3, help="how many workers are killed at each point of a step")
