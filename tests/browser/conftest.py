from importlib.util import find_spec

collect_ignore = [] if find_spec("playwright") else ["test_page.py", "test_report.py"]
