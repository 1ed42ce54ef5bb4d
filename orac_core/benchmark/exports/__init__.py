"""Reports for programs and for people: JSON, CSV, Markdown, Go's benchmark lines, HTML."""

from .lines import go_lines
from .markdown import comparison_markdown, report_markdown
from .page import page_policy, report_page
from .rows import report_csv
from .wire import comparison as comparison_json
from .wire import entry as entry_json
from .wire import recommendation as recommendation_json
from .wire import report as report_json

__all__ = [
    "comparison_json",
    "comparison_markdown",
    "entry_json",
    "go_lines",
    "page_policy",
    "recommendation_json",
    "report_csv",
    "report_json",
    "report_markdown",
    "report_page",
]
