"""How the kinds of heatmaps are read, in a sentence each."""

ADDED = "What is added to the pixels: red brightens, blue darkens, white leaves them as they are."
MULTIPLIED = "What a pixel is multiplied by: red brightens, blue darkens, white leaves it as it is."
TAKEN = "How much of a pixel is blurred away, from nothing (blank) to all of it (dark)."
SEEN = "Red raises and blue lowers the class that was explained, as this method has it."
CONTROL = "A control, which explains nothing ({}): red is above zero, blue below."
