"""The viewer: runs in the browser, image by image and step by step. It reads runs and changes nothing."""
