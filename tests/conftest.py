import os

from hypothesis import settings

settings.register_profile("everyday", print_blob=True)
settings.register_profile("ci", print_blob=True, derandomize=True, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "everyday")
