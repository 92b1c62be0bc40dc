"""One image with its heatmaps, to look at: what the viewer and notebooks show alike."""

from heatlift.panel.details import Details, Fact, Figures, Layer, Result, Second, Table
from heatlift.panel.frames import Encoded, encoded
from heatlift.panel.page import Picture, panel_frame, panel_page

__all__ = [
    "Details",
    "Encoded",
    "Fact",
    "Figures",
    "Layer",
    "Picture",
    "Result",
    "Second",
    "Table",
    "encoded",
    "panel_frame",
    "panel_page",
]
