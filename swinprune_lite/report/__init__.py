"""A page for those who decide: what cutting a model brings, what it risks, and how sure that is, in one HTML file."""

from swinprune_lite.report.lite import lite_data
from swinprune_lite.report.page import page_data
from swinprune_lite.report.reading import read_records
from swinprune_lite.report.writing import claim_page, write_report

__all__ = ["claim_page", "lite_data", "page_data", "read_records", "write_report"]
