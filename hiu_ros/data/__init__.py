"""Sample type, data set loaders and the render bank."""
