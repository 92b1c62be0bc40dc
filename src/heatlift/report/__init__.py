"""The report of a run: one HTML file that answers the question first and opens with the network off."""

from heatlift.report.html import write_report

__all__ = ["write_report"]
