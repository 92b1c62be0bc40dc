"""One image's explanation, as a picture and as a page."""
