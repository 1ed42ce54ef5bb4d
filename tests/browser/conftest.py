from importlib.util import find_spec

if find_spec("playwright"):
    from tests.browser.visiting import browser, visit

    __all__ = ["browser", "visit"]

collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]
