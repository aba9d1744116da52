"""The HIU network: an image crop of a hand in, maps and hand parameters out."""
