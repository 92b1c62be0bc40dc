"""The report of a run, or of several: one HTML file that answers the question first, and other forms."""

from heatlift.report.exports import FORMATS, export
from heatlift.report.html import write_comparison, write_report

__all__ = ["FORMATS", "export", "write_comparison", "write_report"]
